//! Uploaded bytes, in one temporary file without a name: an upload of any size takes a few kilobytes of memory.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The file is divided into blocks of this size; an upload has as many as it needs.
const BLOCK_BYTES: usize = 64 * 1024;

/// How many of an upload's first bytes are kept in memory, to recognize its format.
const HEAD_BYTES: usize = 64;

/// The file, and which of its blocks are free. The system removes it with the process.
pub(crate) struct Spool {
    file: File,
    blocks: Mutex<Blocks>,
}

#[derive(Default)]
struct Blocks {
    free: Vec<u32>,
    /// The number of blocks that were ever used.
    used: u32,
}

/// The bytes of an upload. Dropping them frees their blocks.
pub(crate) struct Stored {
    spool: Arc<Spool>,
    blocks: Vec<u32>,
    bytes: u64,
    head: Vec<u8>,
}

impl Spool {
    pub(crate) fn new() -> io::Result<Arc<Self>> {
        Ok(Arc::new(Self {
            file: tempfile::tempfile()?,
            blocks: Mutex::default(),
        }))
    }

    /// An empty upload.
    pub(crate) fn begin(self: &Arc<Self>) -> Stored {
        Stored {
            spool: Arc::clone(self),
            blocks: Vec::new(),
            bytes: 0,
            head: Vec::new(),
        }
    }

    fn take(&self) -> u32 {
        let mut blocks = self.lock();
        blocks.free.pop().unwrap_or_else(|| {
            blocks.used += 1;
            blocks.used - 1
        })
    }

    fn lock(&self) -> MutexGuard<'_, Blocks> {
        self.blocks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stored {
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The first 64 bytes, fewer if there are not as many.
    pub(crate) fn head(&self) -> &[u8] {
        &self.head
    }

    pub(crate) fn append(&mut self, mut data: &[u8]) -> io::Result<()> {
        let missing = HEAD_BYTES.saturating_sub(self.head.len()).min(data.len());
        self.head.extend_from_slice(&data[..missing]);
        while !data.is_empty() {
            let inside = (self.bytes % BLOCK_BYTES as u64) as usize;
            if inside == 0 {
                self.blocks.push(self.spool.take());
            }
            let length = data.len().min(BLOCK_BYTES - inside);
            let block = self.blocks.last().copied().unwrap_or_default();
            let place = position(block) + inside as u64;
            self.spool.file.write_all_at(&data[..length], place)?;
            self.bytes += length as u64;
            data = &data[length..];
        }
        Ok(())
    }

    /// The bytes of one block, by its number from 0 in this upload; `None` after the last.
    pub(crate) fn block(&self, index: usize) -> Option<io::Result<Vec<u8>>> {
        let block = *self.blocks.get(index)?;
        let before = (index * BLOCK_BYTES) as u64;
        let length = (self.bytes - before).min(BLOCK_BYTES as u64) as usize;
        let mut data = vec![0; length];
        let read = self.spool.file.read_exact_at(&mut data, position(block));
        Some(read.map(|()| data))
    }
}

impl Drop for Stored {
    fn drop(&mut self) {
        self.spool.lock().free.append(&mut self.blocks);
    }
}

fn position(block: u32) -> u64 {
    u64::from(block) * BLOCK_BYTES as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(stored: &Stored) -> Vec<u8> {
        let blocks = (0..).map_while(|index| stored.block(index));
        blocks.flat_map(|block| block.expect("a block")).collect()
    }

    #[test]
    fn uploads_side_by_side_keep_their_bytes() {
        let spool = Spool::new().expect("a temporary file");
        let (mut one, mut two) = (spool.begin(), spool.begin());
        for round in 0..50_u8 {
            one.append(&[round; 3001]).expect("space");
            two.append(&[round ^ 0xff; 4099]).expect("space");
        }
        let expected: Vec<_> = (0..50).flat_map(|round| [round; 3001]).collect();
        assert_eq!(content(&one), expected);
        assert_eq!((one.bytes(), content(&two).len()), (150_050, 204_950));
        assert_eq!(one.head(), [0; 64]);
    }

    #[test]
    fn blocks_of_dropped_uploads_are_used_again() {
        let spool = Spool::new().expect("a temporary file");
        for _ in 0..10 {
            let mut upload = spool.begin();
            upload.append(&[7; 3 * BLOCK_BYTES]).expect("space");
        }
        assert_eq!(spool.lock().used, 3);
    }
}
