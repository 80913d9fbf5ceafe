//! What is in the place for uploads, past the service.

use std::fs::{self, DirEntry};

use crate::world::World;

impl World {
    /// How many uploads are announced or there.
    #[must_use]
    pub fn staged_files(&self) -> usize {
        self.staged().len()
    }

    /// Writes `content` over the upload that is there, without asking whether it may.
    ///
    /// # Panics
    /// If there is not just one.
    pub fn overwrite_staged(&self, content: &[u8]) {
        let mut there = self.staged();
        there.retain(|file| file.path().extension().is_some_and(|it| it == "content"));
        let [file] = &there[..] else {
            panic!("{} uploads", there.len());
        };
        fs::write(file.path(), content).expect("a folder that can be written");
    }

    fn staged(&self) -> Vec<DirEntry> {
        let files = fs::read_dir(self.folder.path().join("uploads"));
        files.into_iter().flatten().flatten().collect()
    }
}
