//! The wall clock of one process, faked by libfaketime: it may be wrong from the start, and may step while the process runs.

use std::io::Write as _;
use std::path::Path;

use tempfile::{NamedTempFile, TempDir};

use crate::servers::variable;

/// How far a process's wall clock is from this test's. Its monotonic clock stays right, as after a step of a real clock.
#[derive(Debug)]
pub struct FakedClock {
    folder: TempDir,
    shift_s: i64,
}

impl FakedClock {
    /// A clock that is fast by `shift_s` seconds, or slow.
    #[must_use]
    pub fn shifted(shift_s: i64) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut clock = Self { folder, shift_s };
        clock.step_to(shift_s);
        clock
    }

    /// Lets it be fast by `shift_s` seconds, or slow, from now on.
    pub fn step_to(&mut self, shift_s: i64) {
        self.shift_s = shift_s;
        // The library reads the file at each call: it never sees half of it.
        let mut file = NamedTempFile::new_in(self.folder.path()).expect("a temporary file");
        writeln!(file, "{shift_s:+}").expect("a disk with space");
        file.persist(self.file()).expect("its own folder");
    }

    /// By how many seconds it is fast.
    #[must_use]
    pub const fn shift_s(&self) -> i64 {
        self.shift_s
    }

    /// The variables of a process with this clock.
    pub(crate) fn variables(&self) -> [(&'static str, String); 4] {
        let file = self.file().display().to_string();
        [
            ("LD_PRELOAD", variable("LARK_TEST_FAKETIME")),
            ("FAKETIME_TIMESTAMP_FILE", file),
            ("FAKETIME_NO_CACHE", "1".to_owned()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
        ]
    }

    fn file(&self) -> Box<Path> {
        self.folder.path().join("shift").into()
    }
}
