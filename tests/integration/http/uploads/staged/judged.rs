//! What was put at an address is judged like what is sent, before anything is asked of the platform.

use super::*;

#[tokio::test]
async fn what_was_put_is_judged_by_its_content() {
    let world = World::begin().await;
    let process = world.process();
    let text = staged(&world, &process, "file", b"no picture").await;
    let answer = post(&process, IMAGES, &json!({"upload_id": text})).await;
    assert_eq!(answer.outcome(), "400 invalid_argument");
    assert_eq!(answer.body["errors"][0]["field"], "image");
    let large = staged(&world, &process, "file", &vec![0; 11 * MB]).await;
    let answer = post(&process, IMAGES, &json!({"upload_id": large})).await;
    assert_eq!(answer.outcome(), "413 payload_too_large", "{}", answer.body);
    for id in [text, large] {
        let claim = json!({"upload_id": id, "file_type": "pdf"});
        let answer = post(&process, FILES, &claim).await;
        assert_eq!(answer.body["errors"][0]["field"], "file_type");
    }
    assert_eq!(world.token_requests(), 0);
}

/// The list of a document's parts, 5 MB behind its beginning.
fn long_docx() -> Vec<u8> {
    let mut content = media::zip(&["[Content_Types].xml", "word/document.xml"]);
    let at = content.len() - 6;
    let list = u32::from_le_bytes(content[at..at + 4].try_into().unwrap());
    let moved = list + u32::try_from(5 * MB).unwrap();
    content[at..at + 4].copy_from_slice(&moved.to_le_bytes());
    let list = usize::try_from(list).unwrap();
    content.splice(list..list, vec![0; 5 * MB]);
    content
}

/// A document whose directory, and the part of the table that leads to it, are 5 MB behind its beginning.
fn long_doc() -> Vec<u8> {
    const FAR: usize = 80 * 128;
    let short = media::compound_file(&["WordDocument"]);
    let sector = |number: usize| u32::try_from(number).unwrap().to_le_bytes();
    let mut content = short[..512].to_vec();
    content[48..52].copy_from_slice(&sector(FAR));
    for part in 0..=80 {
        let at = 76 + 4 * part;
        content[at..at + 4].copy_from_slice(&sector(FAR + 1));
    }
    content.resize(512 * (1 + FAR), 0);
    content.extend(&short[1_024..1_536]);
    content.extend(0xffff_fffe_u32.to_le_bytes());
    content.resize(512 * (3 + FAR), 0xff);
    content
}

#[tokio::test]
async fn a_long_document_is_known_by_what_stands_far_inside() {
    let world = World::begin().await;
    let process = world.process();
    for (content, file_type) in [
        (long_docx(), "doc"),
        (long_doc(), "doc"),
        (vec![0; 5 * MB], "stream"),
    ] {
        let id = staged(&world, &process, "file", &content).await;
        for wrong in ["xls", "pdf"] {
            let claim = json!({"upload_id": id, "file_type": wrong});
            let answer = post(&process, FILES, &claim).await;
            let said = answer.body["errors"][0]["message"].as_str().unwrap();
            assert!(said.contains(&format!("`{file_type}`")), "{said}");
        }
        let right = json!({"upload_id": id, "file_type": file_type});
        let answer = post(&process, FILES, &right).await;
        assert_eq!(answer.outcome(), "200", "{}", answer.body);
        let key = answer.body["file_key"].as_str().unwrap();
        assert!(stored(&process, &world, key).await.0 == content);
    }
}

#[expect(clippy::too_many_lines, reason = "a table")]
#[tokio::test]
async fn a_wrong_field_is_named() {
    let world = World::begin().await;
    let process = world.process();
    let id = format!("up_{}", "0".repeat(52));
    for (path, body, outcome, field) in [
        (
            UPLOADS,
            json!({"kind": "video", "size": 1}),
            "400 invalid_argument",
            "kind",
        ),
        (
            UPLOADS,
            json!({"kind": "file", "size": 0}),
            "400 invalid_argument",
            "size",
        ),
        (
            UPLOADS,
            json!({"kind": "file", "size": -1}),
            "400 invalid_argument",
            "size",
        ),
        (
            UPLOADS,
            json!({"kind": "file", "size": 1.5}),
            "400 invalid_argument",
            "size",
        ),
        (
            UPLOADS,
            json!({"kind": "image", "size": 11 * MB}),
            "413 payload_too_large",
            "size",
        ),
        (
            UPLOADS,
            json!({"kind": "file", "size": 30 * MB + 1}),
            "413 payload_too_large",
            "size",
        ),
        (
            UPLOADS,
            json!({"kind": "file", "size": 1, "sha256": "abc"}),
            "400 invalid_argument",
            "sha256",
        ),
        (
            IMAGES,
            json!({"upload_id": "../../x"}),
            "400 invalid_argument",
            "upload_id",
        ),
        (
            IMAGES,
            json!({"upload_id": id, "image_type": "photo"}),
            "400 invalid_argument",
            "image_type",
        ),
        (
            FILES,
            json!({"upload_id": id, "file_type": "docx"}),
            "400 invalid_argument",
            "file_type",
        ),
        (
            FILES,
            json!({"upload_id": id, "file_name": "a/b"}),
            "400 invalid_argument",
            "file_name",
        ),
        (
            FILES,
            json!({"upload_id": id, "duration": -1}),
            "400 invalid_argument",
            "duration",
        ),
        (
            FILES,
            json!({"upload_id": id, "duration": 2_147_483_648_u64}),
            "400 invalid_argument",
            "duration",
        ),
    ] {
        let answer = post(&process, path, &body).await;
        assert_eq!(answer.outcome(), outcome, "{body}: {}", answer.body);
        assert_eq!(answer.body["errors"][0]["field"], field, "{body}");
    }
    assert_eq!(world.staged_files(), 0);
    assert_eq!(world.token_requests(), 0);
}
