//! Content of which perhaps only some is in memory.

use std::cell::Cell;
use std::ops::Range;

use bytes::Bytes;

/// How much is read at once of what is missing.
const WINDOW_BYTES: usize = 64 * 1024;

/// Content, as far as it is in memory, and what was looked for in vain.
#[derive(Debug)]
pub(super) struct View {
    bytes: usize,
    /// What is in memory, and where it begins. The first one is the beginning.
    windows: Vec<(usize, Bytes)>,
    missing: Cell<Option<usize>>,
    missing_bytes: Cell<usize>,
}

impl View {
    /// Content of so many bytes that begins with `head`.
    pub(super) fn new(bytes: usize, head: Bytes) -> Self {
        Self {
            bytes,
            windows: vec![(0, head)],
            missing: Cell::default(),
            missing_bytes: Cell::default(),
        }
    }

    /// Content that is in memory.
    pub(super) fn whole(content: &Bytes) -> Self {
        Self::new(content.len(), content.clone())
    }

    /// How many bytes the content has.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Its beginning.
    pub(super) fn head(&self) -> &[u8] {
        &self.windows[0].1
    }

    /// The bytes in `range`; `None` if the content does not have them, or they are not in memory.
    pub(super) fn get(&self, range: Range<usize>) -> Option<&[u8]> {
        if range.start > range.end || range.end > self.bytes {
            return None;
        }
        let found = self.windows.iter().find_map(|(start, window)| {
            let from = range.start.checked_sub(*start)?;
            window.get(from..range.end - start)
        });
        if found.is_none() {
            self.missing.set(Some(range.start));
            self.missing_bytes.set(range.len());
        }
        found
    }

    /// `length` bytes at `at`.
    pub(super) fn bytes_at(&self, at: usize, length: usize) -> Option<&[u8]> {
        self.get(at..at.checked_add(length)?)
    }

    /// The number of 16 bits at `at`, the least byte first.
    pub(super) fn u16_le(&self, at: usize) -> Option<u32> {
        let bytes = self.bytes_at(at, 2)?.try_into().ok()?;
        Some(u32::from(u16::from_le_bytes(bytes)))
    }

    /// The number of 32 bits at `at`, the least byte first.
    pub(super) fn u32_le(&self, at: usize) -> Option<u32> {
        let bytes = self.bytes_at(at, 4)?.try_into().ok()?;
        Some(u32::from_le_bytes(bytes))
    }

    /// What to read, because somebody looked for it since the last time and it was not in memory: with some of what follows.
    pub(super) fn take_missing(&self) -> Option<Range<usize>> {
        let start = self.missing.take()?;
        let length = self.missing_bytes.get().max(WINDOW_BYTES);
        Some(start..self.bytes.min(start + length))
    }

    /// Adds what stands at `start`.
    pub(super) fn add(&mut self, start: usize, window: Bytes) {
        self.windows.push((start, window));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_in_memory_is_missing_and_what_is_not_there_is_not() {
        let content: Vec<u8> = (0..=255).cycle().take(200_000).collect();
        let mut view = View::new(content.len(), Bytes::copy_from_slice(&content[..4]));
        assert_eq!(view.get(0..4), Some(&content[..4]));
        for outside in [199_999..200_001, 300_000..300_001] {
            assert_eq!(view.get(outside), None);
        }
        assert_eq!(view.take_missing(), None);
        assert_eq!(view.get(3..5), None);
        assert_eq!(view.take_missing(), Some(3..3 + WINDOW_BYTES));
        assert_eq!(view.take_missing(), None);
        assert_eq!(view.u32_le(199_990), None);
        let missing = view.take_missing().unwrap();
        assert_eq!(missing, 199_990..200_000);
        view.add(missing.start, Bytes::copy_from_slice(&content[missing]));
        let number = [198, 199, 200, 201].map(|it| content[it + 199_990 - 198]);
        assert_eq!(view.u32_le(199_990), Some(u32::from_le_bytes(number)));
        assert_eq!(view.take_missing(), None);
    }

    #[test]
    fn a_long_stretch_is_read_at_once() {
        let view = View::new(1_000_000, Bytes::new());
        assert_eq!(view.get(10..300_010), None);
        assert_eq!(view.take_missing(), Some(10..300_010));
    }
}
