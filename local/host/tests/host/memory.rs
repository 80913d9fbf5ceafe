//! What a large upload costs in memory, by the kernel's own count of a real process.

use reqwest::RequestBuilder;
use reqwest::header::CONTENT_TYPE;
use serde_json::json;
use tempfile::TempDir;
use tokio::process::Child;

use crate::process::{banner, command};
use crate::world::{answer, client, template};

const MB: usize = 1024 * 1024;
/// What the process may need more than before, in KiB.
const ALLOWED_KIB: u64 = 64 * 1000 * 1000 / 1024;
/// The same for what is never in memory as a whole.
const STREAMED_KIB: u64 = 15 * 1024;

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

/// A process that has tokens and connections.
struct Running {
    process: Child,
    /// Its address and an API key.
    url: String,
    key: String,
}

impl Running {
    async fn start(data: &TempDir) -> Self {
        let (data, template) = (data.path().to_str().unwrap(), template());
        let template = template.to_str().unwrap();
        let arguments = ["--port", "0", "--data-dir", data, "--template", template];
        let mut process = command(&arguments).spawn().unwrap();
        let said = banner(&mut process).await;
        let line = said.iter().find(|line| line.contains("Bearer ")).unwrap();
        let (_, rest) = line.split_once("Bearer ").unwrap();
        let (key, rest) = rest.split_once(['\'', '"']).unwrap();
        let (_, address) = rest.split_once("http://").unwrap();
        let running = Self {
            process,
            url: format!("http://{}", address.split('/').next().unwrap()),
            key: key.to_owned(),
        };
        running.send(1).await;
        running
    }

    fn post(&self, path: &str) -> RequestBuilder {
        let request = client().post(format!("{}{path}", self.url));
        request.bearer_auth(&self.key)
    }

    /// Sends a file in a form.
    async fn send(&self, bytes: usize) {
        let request = self.post("/v1/files");
        let request = request.header(CONTENT_TYPE, "multipart/form-data; boundary=b0");
        let answer = answer(request.body(form(bytes))).await;
        assert_eq!(answer.status.as_u16(), 200, "{}", answer.body);
    }

    /// Puts a file at an address, and names it.
    async fn put(&self, bytes: usize) {
        let new = json!({"kind": "file", "size": bytes});
        let new = answer(self.post("/v1/uploads").json(&new)).await;
        assert_eq!(new.status.as_u16(), 201, "{}", new.body);
        let request = client().put(new.body["url"].as_str().unwrap());
        let put = answer(request.body(vec![0xff; bytes])).await;
        assert_eq!(put.status.as_u16(), 200, "{}", put.body);
        let named = json!({"upload_id": new.body["upload_id"]});
        let answer = answer(self.post("/v1/files").json(&named)).await;
        assert_eq!(answer.status.as_u16(), 200, "{}", answer.body);
    }

    /// How much more memory the process needs for `work` at its peak, in KiB.
    async fn more_for(&self, work: impl Future<Output = ()>) -> u64 {
        forget_the_peak(&self.process);
        let before = status(&self.process, "VmRSS:");
        work.await;
        status(&self.process, "VmHWM:").saturating_sub(before)
    }
}

#[tokio::test]
async fn a_file_of_30_mb_goes_through_in_less_than_64_mb() {
    let folder = tempfile::tempdir().unwrap();
    let running = Running::start(&folder).await;
    let more = running.more_for(running.send(30 * MB)).await;
    assert!(more > 30 * 1024, "{more} KiB: the peak was not counted");
    assert!(more < ALLOWED_KIB, "{more} KiB more than before");
}

/// It goes to the disk as it comes, and to the platform as it is read.
#[tokio::test]
async fn a_file_of_30_mb_that_was_put_before_is_never_in_memory() {
    let folder = tempfile::tempdir().unwrap();
    let running = Running::start(&folder).await;
    running.put(5 * MB).await;
    let more = running.more_for(running.put(30 * MB)).await;
    assert!(more < STREAMED_KIB, "{more} KiB more than before");
}
