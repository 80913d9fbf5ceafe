//! What a file is, by its content, in the platform's words.

use memchr::memmem;

use super::image::{brands, bytes};
use super::view::View;
use super::{compound_file, zip};
use crate::error::{Error, Result};
use crate::lark::media::FileType;

/// How far into a file the sign of a PDF may stand: what Acrobat and others accept.
const PDF_WITHIN: usize = 1_024;
/// Main brands of ISO/IEC 14496-12 files that are something else than an MPEG-4 video.
const OTHER_BRANDS: [&[u8]; 11] = [
    b"M4A ", b"M4B ", b"M4P ", b"qt  ", b"heic", b"heix", b"mif1", b"msf1", b"avif", b"avis",
    b"crx ",
];
/// Brands of MPEG-4 videos.
const MP4_BRANDS: [&[u8]; 11] = [
    b"isom", b"iso2", b"iso4", b"iso5", b"iso6", b"mp41", b"mp42", b"avc1", b"M4V ", b"dash",
    b"MSNV",
];

/// What a file is, by the caller's word.
///
/// # Errors
/// [`Error::InvalidArgument`] naming `file_type`.
pub(super) fn claimed(text: &str) -> Result<FileType> {
    let known = FileType::ALL.into_iter().find(|it| it.as_str() == text);
    known.ok_or_else(|| {
        let names = FileType::ALL.map(|it| format!("`{}`", it.as_str()));
        let message = format!("must be one of {}, or left out", names.join(", "));
        Error::invalid("file_type", message)
    })
}

/// What the file `content` is, if the caller's `claim` does not contradict it. A file of any type may be sent as `stream`.
///
/// # Errors
/// [`Error::InvalidArgument`] naming `file_type`.
pub(super) fn check(claim: Option<FileType>, content: &View) -> Result<FileType> {
    if claim == Some(FileType::Stream) {
        return Ok(FileType::Stream);
    }
    let found = of(content);
    let Some(claimed) = claim.filter(|claimed| *claimed != found) else {
        return Ok(found);
    };
    let found = match found {
        FileType::Stream => "`stream`".to_owned(),
        FileType::Opus
        | FileType::Mp4
        | FileType::Pdf
        | FileType::Doc
        | FileType::Xls
        | FileType::Ppt => format!("`{}` or `stream`", found.as_str()),
    };
    let message = format!(
        "must be {found}, by the file's content, or left out: `{}` is something else",
        claimed.as_str()
    );
    Err(Error::invalid("file_type", message))
}

fn of(content: &View) -> FileType {
    let head = content.head();
    if is_opus(head) {
        return FileType::Opus;
    }
    if is_mp4(head) {
        return FileType::Mp4;
    }
    let beginning = &head[..head.len().min(PDF_WITHIN)];
    let office = compound_file::document(content).or_else(|| zip::document(content));
    match office {
        Some(document) => document,
        None if memmem::find(beginning, b"%PDF-").is_some() => FileType::Pdf,
        None => FileType::Stream,
    }
}

/// The first page of an Ogg file whose first packet is the header of Opus (RFC 7845, section 5.1).
fn is_opus(content: &[u8]) -> bool {
    let is_ogg = content.starts_with(b"OggS\0");
    let packet = content.get(26).map(|segments| 27 + usize::from(*segments));
    is_ogg && packet.is_some_and(|at| bytes(content, at, 8) == Some(&b"OpusHead"[..]))
}

fn is_mp4(content: &[u8]) -> bool {
    let Some(brands) = brands(content) else {
        return false;
    };
    let is_other = OTHER_BRANDS.contains(&brands[0]) || brands[0].starts_with(b"3g");
    !is_other && brands.iter().any(|brand| MP4_BRANDS.contains(brand))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;

    /// What `content` is by all of it. In windows it is found to be the same.
    fn whole(content: &[u8]) -> FileType {
        let content = Bytes::copy_from_slice(content);
        let found = of(&View::whole(&content));
        let mut view = View::new(content.len(), content.slice(..content.len().min(1_024)));
        let mut in_windows = of(&view);
        while let Some(range) = view.take_missing() {
            view.add(range.start, content.slice(range));
            in_windows = of(&view);
        }
        assert_eq!(in_windows, found);
        found
    }

    #[test]
    fn sound_in_mpeg_4_and_other_ogg_are_streams() {
        for (content, expected) in [
            (&b"\0\0\0\x18ftypisom\0\0\0\0mp42avc1"[..], FileType::Mp4),
            (b"\0\0\0\x14ftypXAVC\0\0\0\0mp42", FileType::Mp4),
            (b"\0\0\0\x18ftypM4A \0\0\0\0mp42isom", FileType::Stream),
            (b"\0\0\0\x14ftypqt  \0\0\0\0mp42", FileType::Stream),
            (b"\0\0\0\x14ftyp3gp5\0\0\0\0isom", FileType::Stream),
            (b"\0\0\0\x08ftyp", FileType::Stream),
            (
                b"OggS\0\x02aaaaaaaaaaaaaaaaaaaa\x01\x13OpusHead",
                FileType::Opus,
            ),
            (
                b"OggS\0\x02aaaaaaaaaaaaaaaaaaaa\x01\x1e\x01vorbis",
                FileType::Stream,
            ),
            (b"\xef\xbb\xbf\n%PDF-1.7", FileType::Pdf),
            (b"PDF-1.7", FileType::Stream),
            (b"", FileType::Stream),
        ] {
            assert_eq!(whole(content), expected, "{content:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_something(
            beginning in prop::sample::select(vec![
                &b"OggS\0\x02"[..],
                b"\0\0\0\x20ftyp",
                b"PK\x03\x04",
                b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
            ]),
            rest in prop::collection::vec(any::<u8>(), 0..2_000),
        ) {
            let _any = whole(&[beginning, &rest].concat());
            let _any = whole(&[beginning, &rest, b"PK\x05\x06", &rest[..rest.len().min(18)]].concat());
        }
    }
}
