//! What is refused, with the name of what is wrong, before anything is asked of the platform.

use super::*;

const INVALID: &str = "400 invalid_argument";
const LARGE: &str = "413 payload_too_large";

/// What is wrong, the body, the outcome, and which part `errors` names.
type Case = (&'static str, Vec<u8>, &'static str, &'static str);

async fn check(path: &str, content_type: &str, cases: Vec<Case>) {
    let world = World::begin().await;
    let process = world.process();
    for (case, body, outcome, field) in cases {
        let answer = upload(&process, path, content_type, body).await;
        assert_eq!(answer.outcome(), outcome, "{case}: {}", answer.body);
        let errors = answer.body["errors"].as_array().unwrap();
        assert_eq!(errors.len(), 1, "{case}: {errors:?}");
        assert_eq!(errors[0]["field"], field, "{case}: {errors:?}");
        assert!(errors[0]["message"].as_str().unwrap().len() > 10, "{case}");
    }
    // Not even a token was asked for.
    assert_eq!(world.token_requests(), 0);
    assert_eq!(world.requests(IMAGE) + world.requests(FILE), 0);
}

fn large(beginning: Vec<u8>, bytes: usize) -> Vec<u8> {
    let mut content = beginning;
    content.resize(bytes, 0);
    content
}

fn of_image(content: impl AsRef<[u8]>) -> Vec<u8> {
    form("image", content).end()
}

fn avatar(content: impl AsRef<[u8]>) -> Vec<u8> {
    form("image", content).field("image_type", "avatar").end()
}

#[expect(clippy::too_many_lines, reason = "a table")]
#[tokio::test]
async fn images_that_the_platform_would_not_take() {
    const MB: usize = 1024 * 1024;
    let cut = |content: Vec<u8>| of_image(&content[..content.len().min(14)]);
    check(
        IMAGES,
        FORM,
        vec![
            ("empty", of_image(""), INVALID, "image"),
            (
                "11 MB",
                of_image(large(media::png(9, 9), 11 * MB)),
                LARGE,
                "image",
            ),
            (
                "a byte more",
                of_image(large(media::png(9, 9), 10 * MB + 1)),
                LARGE,
                "image",
            ),
            ("text", of_image("a picture"), INVALID, "image"),
            (
                "SVG",
                of_image("<svg xmlns='http://www.w3.org/2000/svg'/>"),
                INVALID,
                "image",
            ),
            ("PDF", of_image(media::pdf()), INVALID, "image"),
            ("a video", of_image(media::mp4()), INVALID, "image"),
            (
                "AVIF",
                of_image(media::of_brands(&[b"avif", b"mif1"])),
                INVALID,
                "image",
            ),
            ("PSD", of_image("8BPS\0\x01\0\0\0\0\0\0"), INVALID, "image"),
            (
                "RIFF that is no WebP",
                of_image("RIFF\x20\0\0\0WAVEfmt "),
                INVALID,
                "image",
            ),
            (
                "a line end before it",
                of_image([b"\n", &media::png(9, 9)[..]].concat()),
                INVALID,
                "image",
            ),
            ("PNG, cut short", cut(media::png(9, 9)), INVALID, "image"),
            ("JPEG, cut short", cut(media::jpeg(9, 9)), INVALID, "image"),
            ("WebP, cut short", cut(media::webp(9, 9)), INVALID, "image"),
            ("GIF, cut short", of_image("GIF89a\x09"), INVALID, "image"),
            ("BMP, cut short", cut(media::bmp(9, 9)), INVALID, "image"),
            ("ICO, cut short", cut(media::ico(9, 9)), INVALID, "image"),
            ("TIFF, cut short", cut(media::tiff(9, 9)), INVALID, "image"),
            (
                "HEIC, cut short",
                of_image(media::of_brands(&[b"heic", b"mif1"])),
                INVALID,
                "image",
            ),
            ("no width", of_image(media::png(0, 9)), INVALID, "image"),
            ("no height", of_image(media::gif(9, 0)), INVALID, "image"),
            (
                "an ICO without icons",
                of_image("\0\0\x01\0\0\0"),
                INVALID,
                "image",
            ),
            (
                "PNG, too wide",
                of_image(media::png(12_001, 1)),
                INVALID,
                "image",
            ),
            (
                "JPEG, too high",
                of_image(media::jpeg(1, 12_001)),
                INVALID,
                "image",
            ),
            (
                "WebP, too wide",
                of_image(media::webp(12_001, 1)),
                INVALID,
                "image",
            ),
            (
                "BMP, too high",
                of_image(media::bmp(1, -12_001)),
                INVALID,
                "image",
            ),
            (
                "TIFF, too wide",
                of_image(media::tiff(12_001, 1)),
                INVALID,
                "image",
            ),
            (
                "HEIC, too high",
                of_image(media::heic(1, 12_001)),
                INVALID,
                "image",
            ),
            (
                "GIF, too wide",
                of_image(media::gif(2_001, 1)),
                INVALID,
                "image",
            ),
            (
                "an avatar, too wide",
                avatar(media::png(4_097, 1)),
                INVALID,
                "image",
            ),
            (
                "an avatar, too high",
                avatar(media::jpeg(1, 4_097)),
                INVALID,
                "image",
            ),
            (
                "a GIF as an avatar",
                avatar(media::gif(1, 2_001)),
                INVALID,
                "image",
            ),
            (
                "a picture for what",
                form("image", media::png(9, 9))
                    .field("image_type", "photo")
                    .end(),
                INVALID,
                "image_type",
            ),
            (
                "in other letters",
                form("image", media::png(9, 9))
                    .field("image_type", "Avatar")
                    .end(),
                INVALID,
                "image_type",
            ),
            (
                "no image",
                TestForm::default().field("image_type", "avatar").end(),
                INVALID,
                "image",
            ),
            (
                "under another name",
                form("file", media::png(9, 9)).end(),
                INVALID,
                "file",
            ),
        ],
    )
    .await;
}

#[tokio::test]
async fn files_and_what_is_claimed_of_them() {
    let claim =
        |content: Vec<u8>, claim: &str| form("file", content).field("file_type", claim).end();
    let with = |name: &str, value: &str| form("file", "x").field(name, value).end();
    let docx = media::zip(&["[Content_Types].xml", "word/document.xml"]);
    check(
        FILES,
        FORM,
        vec![
            ("empty", form("file", "").end(), INVALID, "file"),
            ("too large", form("file", large(media::pdf(), 30 * 1024 * 1024 + 1)).end(), LARGE, "file"),
            ("a PDF that is none", claim(b"x".to_vec(), "pdf"), INVALID, "file_type"),
            ("a video that is a PDF", claim(media::pdf(), "mp4"), INVALID, "file_type"),
            ("sound that is a video", claim(media::mp4(), "opus"), INVALID, "file_type"),
            ("a workbook that is a document", claim(docx.clone(), "xls"), INVALID, "file_type"),
            ("slides that are an old document", claim(media::compound_file(&["WordDocument"]), "ppt"), INVALID, "file_type"),
            ("a document that is any ZIP", claim(media::zip(&["a.txt"]), "doc"), INVALID, "file_type"),
            ("a ZIP cut short", claim(docx[..docx.len() / 2].to_vec(), "doc"), INVALID, "file_type"),
            ("AAC as a video", claim(media::of_brands(&[b"M4A ", b"mp42"]), "mp4"), INVALID, "file_type"),
            ("an unknown type", claim(media::pdf(), "docx"), INVALID, "file_type"),
            ("in other letters", claim(media::pdf(), "PDF"), INVALID, "file_type"),
            ("half a millisecond", with("duration", "0.5"), INVALID, "duration"),
            ("less than nothing", with("duration", "-1"), INVALID, "duration"),
            ("with a sign", with("duration", "+1"), INVALID, "duration"),
            ("with a unit", with("duration", "12s"), INVALID, "duration"),
            ("too long to play", with("duration", "2147483648"), INVALID, "duration"),
            ("a path", with("file_name", "a/b.txt"), INVALID, "file_name"),
            ("two lines", with("file_name", "a\r\nb"), INVALID, "file_name"),
            ("a name without end", with("file_name", &"x".repeat(251)), INVALID, "file_name"),
            ("a name beyond that", with("file_name", &"x".repeat(2_000)), INVALID, "file_name"),
            ("a name that is no text", form("file", "x").part("; name=\"file_name\"", b"\xff\xfe").end(), INVALID, "file_name"),
            ("a part's name without end", TestForm::default().part(&format!("; name=\"file\"; filename=\"{}\"", "x".repeat(251)), "x").end(), INVALID, "file_name"),
            ("two files", form("file", "x").part("; name=\"file\"", "y").end(), INVALID, "file"),
            ("two names", form("file", "x").field("file_name", "a").field("file_name", "b").end(), INVALID, "file_name"),
            ("an unknown part", with("color", "red"), INVALID, "color"),
            ("an image's part", with("image_type", "message"), INVALID, "image_type"),
            ("as Base64", form("file", "x").raw_part(b"Content-Disposition: form-data; name=\"file_name\"\r\nContent-Transfer-Encoding: base64\r\n", "YQ==").end(), INVALID, "file_name"),
        ],
    )
    .await;
}

#[expect(clippy::too_many_lines, reason = "a table")]
#[tokio::test]
async fn forms_that_are_none() {
    let whole = form("file", "The build is green.").end();
    let cut = |bytes: usize| whole[..whole.len() - bytes].to_vec();
    let many = (0..17).fold(TestForm::default(), |form, _| form.field("checksum", ""));
    let headers = (0..40).fold(Vec::new(), |mut lines, number| {
        lines.extend(format!("X-{number}: x\r\n").into_bytes());
        lines
    });
    let text = |text: &str| text.as_bytes().to_vec();
    check(
        FILES,
        FORM,
        vec![
            ("nothing", Vec::new(), INVALID, "body"),
            ("JSON", text(r#"{"file": "x"}"#), INVALID, "body"),
            ("no end", form("file", "x").open(), INVALID, "body"),
            ("half an end", cut(4), INVALID, "body"),
            ("cut in the content", cut(20), INVALID, "body"),
            ("cut in the headers", whole[..30].to_vec(), INVALID, "body"),
            (
                "cut in the first line",
                whole[..3].to_vec(),
                INVALID,
                "body",
            ),
            (
                "another boundary",
                text(
                    "--b1\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\nx\r\n--b1--\r\n",
                ),
                INVALID,
                "body",
            ),
            (
                "a boundary that goes on",
                text(
                    "--b0\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\nx\r\n--b0x--\r\n",
                ),
                INVALID,
                "body",
            ),
            (
                "lines that end as in Unix",
                text("--b0\nContent-Disposition: form-data; name=\"file\"\n\nx\n--b0--\n"),
                INVALID,
                "body",
            ),
            (
                "a part without headers",
                text("--b0\r\n\r\nx\r\n--b0--\r\n"),
                INVALID,
                "body",
            ),
            (
                "a part without a name",
                TestForm::default().part("", "x").end(),
                INVALID,
                "body",
            ),
            (
                "a name that is no text",
                TestForm::default()
                    .raw_part(b"Content-Disposition: form-data; name=\"\xff\"\r\n", "x")
                    .end(),
                INVALID,
                "body",
            ),
            (
                "a header that is none",
                TestForm::default().raw_part(b"no header\r\n", "x").end(),
                INVALID,
                "body",
            ),
            (
                "too many headers",
                TestForm::default().raw_part(&headers, "x").end(),
                INVALID,
                "body",
            ),
            ("too many parts", many.end(), INVALID, "body"),
            ("no part", text("--b0--\r\n"), INVALID, "file"),
        ],
    )
    .await;
}

#[tokio::test]
async fn content_types_without_a_boundary() {
    for content_type in [
        "multipart/form-data",
        "multipart/form-data; boundary=",
        "multipart/form-data; boundary=\"\"",
        "multipart/mixed; boundary=b0",
        "application/x-www-form-urlencoded",
        "image/png",
        "b0",
        "multipart/form-data; boundary=\"b0 \"",
        &format!("multipart/form-data; boundary={}", "b".repeat(71)),
    ] {
        let body = form("file", "x").end();
        let case = vec![("", body, INVALID, "header Content-Type")];
        check(FILES, content_type, case).await;
    }
}
