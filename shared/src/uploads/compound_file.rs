//! Documents of Office before 2007: compound files whose streams say what they are.
//!
//! Source: "[MS-CFB]: Compound File Binary File Format". Every loop is bounded by the number of sectors that the file has.

use super::image::{u16_le, u32_le};
use super::view::View;
use crate::lark::media::FileType;

const SIGNATURE: &[u8] = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1";
/// Numbers from here on are no sectors: the end of a chain, a free sector.
const NO_SECTOR: u32 = 0xffff_fffa;
/// How many sectors of the allocation table the header names.
const IN_HEADER: usize = 109;
const ENTRY_BYTES: usize = 128;
/// The most entries of a directory that are read. Documents have some dozens.
const MAX_ENTRIES: usize = 10_000;

/// The kind of document that `content` is, if it is one.
pub(super) fn document(content: &View) -> Option<FileType> {
    let file = CompoundFile::of(content)?;
    let directory = file.directory();
    let root = directory.first()?;
    // Embedded documents have folders of their own. The entries of one folder are a tree.
    let mut left = vec![u32_le(root, 76)?];
    let mut seen = 0;
    while let Some(index) = left.pop() {
        let Some(entry) = directory.get(usize::try_from(index).ok()?) else {
            // None, or none that is there.
            continue;
        };
        seen += 1;
        if seen > directory.len() {
            // A tree visits no entry twice.
            return None;
        }
        if let Some(found) = named(entry) {
            return Some(found);
        }
        left.extend([u32_le(entry, 68)?, u32_le(entry, 72)?]);
    }
    None
}

/// The kind of document that has a stream of this name.
fn named(entry: &[u8]) -> Option<FileType> {
    let length = usize::try_from(u16_le(entry, 64)?).ok()?;
    let units = entry.get(..length.checked_sub(2)?.min(64))?;
    let units = units.chunks_exact(2);
    let units = units.map(|unit| u16::from_le_bytes([unit[0], unit[1]]));
    let name: String = char::decode_utf16(units).map_while(Result::ok).collect();
    match name.as_str() {
        "WordDocument" => Some(FileType::Doc),
        "Workbook" | "Book" => Some(FileType::Xls),
        "PowerPoint Document" => Some(FileType::Ppt),
        _ => None,
    }
}

struct CompoundFile<'c> {
    content: &'c View,
    /// The logarithm of the size of a sector.
    shift: u32,
    /// The sectors of the allocation table, in order.
    table: Vec<u32>,
}

impl<'c> CompoundFile<'c> {
    fn of(content: &'c View) -> Option<Self> {
        if !content.head().starts_with(SIGNATURE) {
            return None;
        }
        let shift = content.u16_le(30)?;
        if !matches!(shift, 9 | 12) {
            return None;
        }
        let mut file = Self {
            content,
            shift,
            table: Vec::new(),
        };
        let in_header = (0..IN_HEADER).map_while(|index| content.u32_le(76 + 4 * index));
        file.table
            .extend(in_header.take_while(|sector| *sector < NO_SECTOR));
        // The others are in sectors of their own, whose last number leads to the next one.
        let mut next = content.u32_le(68)?;
        while file.table.len() <= file.sectors() {
            let Some(sector) = file.sector(next) else {
                break;
            };
            let before = file.table.len();
            let Some((numbers, last)) = sector.split_last_chunk::<4>() else {
                break;
            };
            let numbers = numbers.chunks_exact(4);
            let numbers = numbers.filter_map(|number| u32_le(number, 0));
            file.table
                .extend(numbers.take_while(|sector| *sector < NO_SECTOR));
            if file.table.len() == before {
                break;
            }
            next = u32::from_le_bytes(*last);
        }
        Some(file)
    }

    /// How many sectors the file has.
    fn sectors(&self) -> usize {
        self.content.bytes() >> self.shift
    }

    fn sector(&self, number: u32) -> Option<&'c [u8]> {
        if number >= NO_SECTOR {
            return None;
        }
        let at = (usize::try_from(number).ok()? + 1) << self.shift;
        // The last one may be cut short.
        self.content
            .get(at..self.content.bytes().min(at + (1 << self.shift)))
    }

    /// The sector that follows `number` in its chain.
    fn after(&self, number: u32) -> Option<u32> {
        let number = usize::try_from(number).ok()?;
        let per_sector = 1 << (self.shift - 2);
        let sector = self.sector(*self.table.get(number / per_sector)?)?;
        u32_le(sector, 4 * (number % per_sector))
    }

    /// The entries of the directory, the root first.
    fn directory(&self) -> Vec<&'c [u8]> {
        let mut entries = Vec::new();
        let mut next = self.content.u32_le(48);
        for _ in 0..self.sectors() {
            let Some((number, sector)) = next.and_then(|it| Some((it, self.sector(it)?))) else {
                break;
            };
            entries.extend(sector.chunks_exact(ENTRY_BYTES));
            if entries.len() > MAX_ENTRIES {
                break;
            }
            next = self.after(number);
        }
        entries
    }
}
