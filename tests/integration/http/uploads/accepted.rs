//! What goes through.

use super::*;

#[tokio::test]
async fn images_of_every_format_go_through() {
    let world = World::begin().await;
    let process = world.process();
    for (name, content) in [
        ("png", media::png(12_000, 12_000)),
        ("jpeg", media::jpeg(12_000, 1)),
        ("webp", media::webp(12_000, 12_000)),
        ("gif", media::gif(2_000, 2_000)),
        ("bmp", media::bmp(12_000, -12_000)),
        ("ico", media::ico(0, 0)),
        ("tiff", media::tiff(12_000, 12_000)),
        ("heic", media::heic(12_000, 12_000)),
    ] {
        let answer = image(&process, content.clone()).await;
        assert_eq!(answer.outcome(), "200", "{name}: {}", answer.body);
        let key = answer.body["image_key"].as_str().unwrap();
        assert_eq!(stored(&process, &world, key).await.0, content, "{name}");
    }
}

#[tokio::test]
async fn the_largest_image_goes_through() {
    let world = World::begin().await;
    let process = world.process();
    let mut content = media::jpeg(100, 100);
    content.resize(10 * 1024 * 1024, 0xaa);
    let answer = image(&process, content).await;
    assert_eq!(answer.outcome(), "200", "{}", answer.body);
}

#[tokio::test]
async fn avatars_go_through_up_to_their_pixels() {
    let world = World::begin().await;
    let process = world.process();
    for (image_type, side) in [("avatar", 4_096), ("message", 4_097), ("", 4_097)] {
        let form = form("image", media::png(side, side)).field("image_type", image_type);
        let answer = upload(&process, IMAGES, FORM, form.end()).await;
        assert_eq!(answer.outcome(), "200", "{image_type}: {}", answer.body);
    }
}

/// The largest file, with what looks like a boundary in it, arrives as it was sent.
#[tokio::test]
async fn the_largest_file_goes_through() {
    let world = World::begin().await;
    let process = world.process();
    let pattern = b"\r\n--b\r\n\r\n--b1\r\n--\r\n\0\xff";
    let content: Vec<u8> = pattern
        .iter()
        .copied()
        .cycle()
        .take(30 * 1024 * 1024)
        .collect();
    let form = form("file", &content).field("file_name", "largest.bin");
    let answer = upload(&process, FILES, FORM, form.end()).await;
    assert_eq!(answer.outcome(), "200", "{}", answer.body);
    let key = answer.body["file_key"].as_str().unwrap();
    let (arrived, name) = stored(&process, &world, key).await;
    assert!(arrived == content);
    assert!(name.contains("largest.bin"), "{name}");
}

/// As the SDKs send it, and others: see RFC 7578.
#[expect(clippy::too_many_lines, reason = "a table")]
#[tokio::test]
async fn forms_of_many_programs_go_through() {
    let content = b"\r\n\r\nThe build is green.\r\n--b\r\n";
    let world = World::begin().await;
    let process = world.process();
    let plain = || TestForm::default().part("; name=\"file\"", content);
    let named = |name: &str| TestForm::default().part(&format!("; name=\"file\"; {name}"), content);
    let mut without_last_line_end = plain().end();
    without_last_line_end.truncate(without_last_line_end.len() - 2);
    let mut with_more_around = b"a preamble\r\n".to_vec();
    with_more_around.extend(plain().end());
    with_more_around.extend(b"an epilogue");
    let python = TestForm::default()
        .field("file_type", "stream")
        .field("file_name", "报告.txt")
        .field("duration", "")
        .part("; name=\"file\"", content);
    let backwards = plain()
        .field("duration", "")
        .field("file_name", "报告.txt")
        .field("file_type", "");
    let typed = b"content-disposition:form-data; name=file; filename=a.txt\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: binary\r\n";
    for (case, body, name) in [
        ("neither file name nor type", plain().end(), "\"file\""),
        (
            "Python: an empty field",
            python.end(),
            "%E6%8A%A5%E5%91%8A.txt",
        ),
        ("the file first", backwards.end(), "%E6%8A%A5%E5%91%8A.txt"),
        ("no line end behind it", without_last_line_end, "\"file\""),
        ("a preamble and an epilogue", with_more_around, "\"file\""),
        (
            "UTF-8",
            named("filename=\"报告.txt\"").end(),
            "%E6%8A%A5%E5%91%8A.txt",
        ),
        (
            "both",
            named("filename=\"_.txt\"; filename*=UTF-8''%E6%8A%A5%E5%91%8A.txt").end(),
            "%E6%8A%A5%E5%91%8A.txt",
        ),
        (
            "the other only",
            named("filename*=utf-8''%E6%8A%A5%E5%91%8A.txt").end(),
            "%E6%8A%A5%E5%91%8A.txt",
        ),
        (
            "a path of Windows",
            named(r#"filename="C:\fakepath\a.txt""#).end(),
            "\"a.txt\"",
        ),
        (
            "a quote in the name",
            named(r#"filename="a\"b.txt""#).end(),
            "a%22b.txt",
        ),
        ("an empty name", named("filename=\"\"").end(), "\"file\""),
        (
            "unquoted, lower case, with a type",
            TestForm::default().raw_part(typed, content).end(),
            "\"a.txt\"",
        ),
        (
            "a semicolon at the end",
            named("filename=\"a.txt\";").end(),
            "\"a.txt\"",
        ),
        (
            "an unknown part that is empty",
            plain().field("checksum", "").end(),
            "\"file\"",
        ),
        (
            "a field as a file",
            plain()
                .part("; name=\"file_name\"; filename=\"x\"", "a.txt")
                .end(),
            "\"a.txt\"",
        ),
    ] {
        let answer = upload(&process, FILES, FORM, body).await;
        assert_eq!(answer.outcome(), "200", "{case}: {}", answer.body);
        let key = answer.body["file_key"].as_str().unwrap();
        let (arrived, disposition) = stored(&process, &world, key).await;
        assert_eq!(arrived, content, "{case}");
        assert!(disposition.contains(name), "{case}: {disposition}");
    }
}

#[tokio::test]
async fn boundaries_of_many_programs_are_understood() {
    let world = World::begin().await;
    let process = world.process();
    for (content_type, boundary) in [
        ("multipart/form-data; boundary=b0", "b0"),
        ("multipart/form-data; boundary=\"b0\"", "b0"),
        ("Multipart/Form-Data; charset=utf-8; boundary=b0", "b0"),
        ("multipart/form-data;boundary=b0", "b0"),
        (
            "multipart/form-data; boundary=----WebKitFormBoundary7MA4YWxkTrZu0gW",
            "----WebKitFormBoundary7MA4YWxkTrZu0gW",
        ),
        (
            "multipart/form-data; boundary=\"a b=c:d/e?(f)\"",
            "a b=c:d/e?(f)",
        ),
        ("multipart/form-data; boundary=-", "-"),
        (
            "multipart/form-data; boundary=a23456789b123456789c123456789d123456789e123456789f123456789g123456789",
            "a23456789b123456789c123456789d123456789e123456789f123456789g123456789",
        ),
    ] {
        let head = format!("--{boundary}\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\n");
        let body = format!("{head}x\r\n--{boundary}--\r\n");
        let answer = upload(&process, FILES, content_type, body.into_bytes()).await;
        assert_eq!(answer.outcome(), "200", "{content_type}: {}", answer.body);
    }
}

#[tokio::test]
async fn a_file_is_what_its_content_is() {
    let world = World::begin().await;
    let process = world.process();
    let docx = media::zip(&["[Content_Types].xml", "_rels/.rels", "word/document.xml"]);
    for (content, claim) in [
        (media::opus(), "opus"),
        (media::mp4(), "mp4"),
        (media::pdf(), "pdf"),
        (docx.clone(), "doc"),
        (
            media::zip(&["xl/workbook.xml", "[Content_Types].xml"]),
            "xls",
        ),
        (
            media::zip(&["[Content_Types].xml", "ppt/presentation.xml"]),
            "ppt",
        ),
        (media::compound_file(&["1Table", "WordDocument"]), "doc"),
        (
            media::compound_file(&["A", "B", "C", "D", "E", "Workbook"]),
            "xls",
        ),
        (media::compound_file(&["PowerPoint Document"]), "ppt"),
        (docx, "stream"),
        (media::pdf(), "stream"),
        (media::zip(&["word/document.xml"]), "stream"),
        (media::compound_file(&["Contents"]), "stream"),
        (b"x".to_vec(), "stream"),
    ] {
        let claimed = form("file", &content).field("file_type", claim);
        let answer = upload(&process, FILES, FORM, claimed.end()).await;
        assert_eq!(answer.outcome(), "200", "{claim}: {}", answer.body);
    }
    let timed = form("file", media::opus()).field("duration", "12000");
    assert_eq!(
        upload(&process, FILES, FORM, timed.end()).await.outcome(),
        "200"
    );
}
