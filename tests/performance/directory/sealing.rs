//! What it costs to open an entry of the shared cache, which every L2 hit does, in a loop on one thread.

use std::hint::black_box;
use std::time::Instant;

use lark_service::seal::{KeyRing, Purpose};

use crate::report::say;

const PLACE: &str = "lark:users:{cli_sim000001:open_id:ou_7e1bbe89ac2b588a8d58264d17fae02d}";
/// An absence or a pointer, a profile, a page of a list.
const SIZES: [usize; 3] = [200, 1_200, 4_000];
const ROUNDS: u32 = 200_000;

pub(crate) fn run() {
    let ring = KeyRing::generate().unwrap();
    for size in SIZES {
        let plain = vec![b'x'; size];
        let sealed = ring
            .seal_entry(Purpose::Directory, PLACE, 7, plain)
            .unwrap();
        let began = Instant::now();
        for _ in 0..ROUNDS {
            let opened = ring.open_entry(Purpose::Directory, PLACE, 7, black_box(&sealed));
            black_box(opened.unwrap());
        }
        let each = began.elapsed() / ROUNDS;
        say(&format!(
            "opening an entry of {size} bytes: {} ns",
            each.as_nanos()
        ));
    }
}
