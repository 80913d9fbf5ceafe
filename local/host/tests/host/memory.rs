//! What a large upload costs in memory, by the kernel's own count of a real process.

use reqwest::header::CONTENT_TYPE;
use tokio::process::Child;

use crate::process::{banner, command};
use crate::world::{answer, client, template};

const MB: usize = 1024 * 1024;
/// What the process may need more than before, in KiB.
const ALLOWED_KIB: u64 = 64 * 1000 * 1000 / 1024;

/// A number of `/proc/PID/status`, in KiB.
fn status(process: &Child, name: &str) -> u64 {
    let path = format!("/proc/{}/status", process.id().unwrap());
    let text = std::fs::read_to_string(path).unwrap();
    let line = text.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// The peak begins again at what the process has now.
fn forget_the_peak(process: &Child) {
    let path = format!("/proc/{}/clear_refs", process.id().unwrap());
    std::fs::write(path, "5").unwrap();
}

fn form(bytes: usize) -> Vec<u8> {
    let mut form = b"--b0\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\n".to_vec();
    form.resize(form.len() + bytes, 0xff);
    form.extend(b"\r\n--b0--\r\n");
    form
}

#[tokio::test]
async fn a_file_of_30_mb_goes_through_in_less_than_64_mb() {
    let folder = tempfile::tempdir().unwrap();
    let (data, template) = (folder.path().to_str().unwrap(), template());
    let template = template.to_str().unwrap();
    let arguments = ["--port", "0", "--data-dir", data, "--template", template];
    let mut process = command(&arguments).spawn().unwrap();
    let said = banner(&mut process).await;
    let line = said.iter().find(|line| line.contains("Bearer ")).unwrap();
    let (_, rest) = line.split_once("Bearer ").unwrap();
    let (key, rest) = rest.split_once(['\'', '"']).unwrap();
    let (_, address) = rest.split_once("http://").unwrap();
    let url = format!("http://{}/v1/files", address.split('/').next().unwrap());
    let upload = async |bytes: usize| {
        let request = client().post(&url).bearer_auth(key);
        let request = request.header(CONTENT_TYPE, "multipart/form-data; boundary=b0");
        answer(request.body(form(bytes))).await
    };
    // Tokens are there, and connections.
    let first = upload(1).await;
    assert_eq!(first.status.as_u16(), 200, "{}", first.body);
    forget_the_peak(&process);
    let before = status(&process, "VmRSS:");
    let large = upload(30 * MB).await;
    assert_eq!(large.status.as_u16(), 200, "{}", large.body);
    let more = status(&process, "VmHWM:").saturating_sub(before);
    assert!(more > 30 * 1024, "{more} KiB: the peak was not counted");
    assert!(more < ALLOWED_KIB, "{more} KiB more than before");
}
