//! Documents of Office since 2007: ZIP files whose folders say what they are (ECMA-376, part 2).

use memchr::memmem;

use super::image::{u16_le, u32_le};
use super::view::View;
use crate::lark::media::FileType;

/// The end of the list of files, with the longest comment behind it (APPNOTE.TXT, section 4.3.16).
const END_BYTES: usize = 22 + 65_535;
/// What stands before the name of a file in the list (section 4.3.12).
const ENTRY_BYTES: usize = 46;
/// The part that every such document has.
const CONTENT_TYPES: &[u8] = b"[Content_Types].xml";

/// The kind of document that `content` is, if it is one.
pub(super) fn document(content: &View) -> Option<FileType> {
    if !content.head().starts_with(b"PK\x03\x04") {
        return None;
    }
    let end = content.get(content.bytes().saturating_sub(END_BYTES)..content.bytes())?;
    let end = end.get(memmem::rfind(end, b"PK\x05\x06")?..)?;
    let count = u16_le(end, 10)?;
    let mut at = usize::try_from(u32_le(end, 16)?).ok()?;
    let (mut is_package, mut found) = (false, None);
    for _ in 0..count {
        let entry = content.bytes_at(at, ENTRY_BYTES)?;
        if !entry.starts_with(b"PK\x01\x02") {
            return None;
        }
        let length = |at| usize::try_from(u16_le(entry, at)?).ok();
        let name_bytes = length(28)?;
        let name = content.bytes_at(at.checked_add(ENTRY_BYTES)?, name_bytes)?;
        is_package |= name == CONTENT_TYPES;
        found = found.or(match name {
            [b'w', b'o', b'r', b'd', b'/', ..] => Some(FileType::Doc),
            [b'x', b'l', b'/', ..] => Some(FileType::Xls),
            [b'p', b'p', b't', b'/', ..] => Some(FileType::Ppt),
            _ => None,
        });
        at = at.checked_add(ENTRY_BYTES + name_bytes + length(30)? + length(32)?)?;
    }
    found.filter(|_| is_package)
}
