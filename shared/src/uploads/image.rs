//! What an image is and how many pixels it has, by its first bytes and its header. Nothing is decoded.

/// The formats that the platform takes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Format {
    Jpeg,
    Png,
    Webp,
    Gif,
    Bmp,
    Ico,
    Tiff,
    Heic,
}

/// The pixels of an image; neither number is 0.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Image {
    pub(super) width: u32,
    pub(super) height: u32,
}

/// Brands of HEIF files that are compressed by HEVC (ISO/IEC 23008-12).
const HEVC_BRANDS: [&[u8]; 8] = [
    b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs",
];
/// Brands of HEIF files that are compressed somehow.
const HEIF_BRANDS: [&[u8]; 2] = [b"mif1", b"msf1"];
/// Brands of HEIF files that are compressed by AV1, which the platform does not take.
const AVIF_BRANDS: [&[u8]; 2] = [b"avif", b"avis"];

impl Format {
    /// The format of `content`; `None` for any other, and for what is no image.
    pub(super) fn of(content: &[u8]) -> Option<Self> {
        const BEGINNINGS: [(&[u8], Format); 8] = [
            (b"\xff\xd8\xff", Format::Jpeg),
            (b"\x89PNG\r\n\x1a\n", Format::Png),
            (b"GIF87a", Format::Gif),
            (b"GIF89a", Format::Gif),
            (b"BM", Format::Bmp),
            (b"\0\0\x01\0", Format::Ico),
            (b"II*\0", Format::Tiff),
            (b"MM\0*", Format::Tiff),
        ];
        let mut known = BEGINNINGS.into_iter();
        if let Some((_, format)) = known.find(|(beginning, _)| content.starts_with(beginning)) {
            return Some(format);
        }
        if content.starts_with(b"RIFF") && bytes(content, 8, 4) == Some(&b"WEBP"[..]) {
            return Some(Self::Webp);
        }
        is_heic(content).then_some(Self::Heic)
    }

    /// The format in people's words.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Jpeg => "JPEG",
            Self::Png => "PNG",
            Self::Webp => "WebP",
            Self::Gif => "GIF",
            Self::Bmp => "BMP",
            Self::Ico => "ICO",
            Self::Tiff => "TIFF",
            Self::Heic => "HEIC",
        }
    }

    /// The pixels of `content`, an image of this format; `None` if it is cut short or broken.
    pub(super) fn pixels(self, content: &[u8]) -> Option<Image> {
        let (width, height) = match self {
            Self::Jpeg => of_jpeg(content),
            Self::Png => {
                let is_header = bytes(content, 12, 4)? == b"IHDR";
                is_header.then_some((u32_be(content, 16)?, u32_be(content, 20)?))
            }
            Self::Webp => of_webp(content),
            Self::Gif => Some((u16_le(content, 6)?, u16_le(content, 8)?)),
            Self::Bmp => of_bmp(content),
            Self::Ico => of_ico(content),
            Self::Tiff => of_tiff(content),
            Self::Heic => of_heic(content),
        }?;
        (width > 0 && height > 0).then_some(Image { width, height })
    }
}

/// Whether `content` begins with the header of a HEIC file: a box `ftyp` with its brands.
fn is_heic(content: &[u8]) -> bool {
    let Some(brands) = brands(content) else {
        return false;
    };
    let has = |wanted: &[&[u8]]| brands.iter().any(|brand| wanted.contains(brand));
    has(&HEVC_BRANDS) || (has(&HEIF_BRANDS) && !has(&AVIF_BRANDS))
}

/// The brands that a file of ISO/IEC 14496-12 says it is, the major one first; at most 32 are read.
pub(super) fn brands(content: &[u8]) -> Option<Vec<&[u8]>> {
    if bytes(content, 4, 4)? != b"ftyp" {
        return None;
    }
    let length = usize::try_from(u32_be(content, 0)?).ok()?;
    let rest = content
        .get(16..length.min(content.len()))
        .unwrap_or_default();
    let major = bytes(content, 8, 4)?;
    let others = rest.chunks_exact(4).take(31);
    Some(std::iter::once(major).chain(others).collect())
}

/// The segments up to the one that begins a frame (ITU T.81, annex B).
fn of_jpeg(content: &[u8]) -> Option<(u32, u32)> {
    let mut at = 2;
    loop {
        if *content.get(at)? != 0xff {
            return None;
        }
        // Any number of fill bytes may stand before a marker.
        let fill = content.get(at..)?.iter().take_while(|byte| **byte == 0xff);
        let marker = at + fill.count();
        let segment = marker + 1;
        match *content.get(marker)? {
            // Tables and extensions among the codes of frames.
            0xc4 | 0xc8 | 0xcc => {}
            0xc0..=0xcf => {
                return Some((u16_be(content, segment + 5)?, u16_be(content, segment + 3)?));
            }
            // Without a length.
            0x01 | 0xd0..=0xd7 => {
                at = segment;
                continue;
            }
            // Another image, its end, or its pixels: no frame began before.
            0x00 | 0xd8..=0xda => return None,
            _ => {}
        }
        let length = u16_be(content, segment)?;
        if length < 2 {
            return None;
        }
        at = segment + usize::try_from(length).ok()?;
    }
}

/// RFC 9649: lossy, lossless, or extended.
fn of_webp(content: &[u8]) -> Option<(u32, u32)> {
    match bytes(content, 12, 4)? {
        b"VP8 " => {
            let is_key_frame = bytes(content, 23, 3)? == b"\x9d\x01\x2a";
            let size = |at| Some(u16_le(content, at)? & 0x3fff);
            is_key_frame.then_some((size(26)?, size(28)?))
        }
        b"VP8L" => {
            let bits = u32_le(content, 21)?;
            let is_signed = *content.get(20)? == 0x2f;
            is_signed.then_some(((bits & 0x3fff) + 1, ((bits >> 14) & 0x3fff) + 1))
        }
        b"VP8X" => {
            let size =
                |at| Some((u16_le(content, at)? | (u32::from(*content.get(at + 2)?) << 16)) + 1);
            Some((size(24)?, size(27)?))
        }
        _ => None,
    }
}

/// The header of OS/2 or of Windows; there a negative height says that rows begin at the top.
fn of_bmp(content: &[u8]) -> Option<(u32, u32)> {
    match u32_le(content, 14)? {
        12 => Some((u16_le(content, 18)?, u16_le(content, 20)?)),
        16.. => {
            let size = |at| Some(u32_le(content, at)?.cast_signed().unsigned_abs());
            Some((size(18)?, size(22)?))
        }
        _ => None,
    }
}

/// The largest of the icons; 0 stands for 256.
fn of_ico(content: &[u8]) -> Option<(u32, u32)> {
    let count = usize::try_from(u16_le(content, 4)?).ok()?;
    let entries = content.get(6..6 + 16 * count)?.chunks_exact(16);
    let size = |byte: u8| if byte == 0 { 256 } else { u32::from(byte) };
    let sizes = entries.map(|entry| (size(entry[0]), size(entry[1])));
    sizes.max_by_key(|(width, height)| width * height)
}

/// The tags of the first image (TIFF 6.0).
fn of_tiff(content: &[u8]) -> Option<(u32, u32)> {
    let is_little = content.starts_with(b"II");
    let short = |at| {
        if is_little {
            u16_le(content, at)
        } else {
            u16_be(content, at)
        }
    };
    let long = |at| {
        if is_little {
            u32_le(content, at)
        } else {
            u32_be(content, at)
        }
    };
    let tags = usize::try_from(long(4)?).ok()?;
    let count = usize::try_from(short(tags)?).ok()?;
    let (mut width, mut height) = (None, None);
    for index in 0..count {
        let tag = tags.checked_add(2 + 12 * index)?;
        let value = match short(tag + 2)? {
            3 => short(tag + 8),
            4 => long(tag + 8),
            _ => None,
        };
        match short(tag)? {
            256 => width = value,
            257 => height = value,
            _ => {}
        }
    }
    Some((width?, height?))
}

/// The largest of the images whose sizes the box `ipco` has.
fn of_heic(content: &[u8]) -> Option<(u32, u32)> {
    let meta = find_box(content, b"meta")?.get(4..)?;
    let properties = find_box(find_box(meta, b"iprp")?, b"ipco")?;
    let sizes = boxes(properties).filter(|(kind, _)| *kind == b"ispe");
    let sizes = sizes.filter_map(|(_, size)| Some((u32_be(size, 4)?, u32_be(size, 8)?)));
    sizes.max_by_key(|(width, height)| u64::from(*width) * u64::from(*height))
}

fn find_box<'c>(content: &'c [u8], wanted: &[u8]) -> Option<&'c [u8]> {
    let (_, inside) = boxes(content).find(|(kind, _)| *kind == wanted)?;
    Some(inside)
}

/// The boxes of ISO/IEC 14496-12 in `content`, each with what is inside, as far as they are whole.
fn boxes(content: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let mut rest = content;
    std::iter::from_fn(move || {
        let kind = bytes(rest, 4, 4)?;
        let (length, header) = match u32_be(rest, 0)? {
            0 => (rest.len(), 8),
            1 => {
                let high = u64::from(u32_be(rest, 8)?) << 32;
                let length = high | u64::from(u32_be(rest, 12)?);
                (usize::try_from(length).ok()?, 16)
            }
            length => (usize::try_from(length).ok()?, 8),
        };
        let inside = rest.get(header..length)?;
        rest = rest.get(length..)?;
        Some((kind, inside))
    })
}

/// The `length` bytes of `content` at `at`, if it has them.
pub(super) fn bytes(content: &[u8], at: usize, length: usize) -> Option<&[u8]> {
    content.get(at..at.checked_add(length)?)
}

fn array<const N: usize>(content: &[u8], at: usize) -> Option<[u8; N]> {
    bytes(content, at, N)?.try_into().ok()
}

fn u16_be(content: &[u8], at: usize) -> Option<u32> {
    array(content, at).map(|it| u32::from(u16::from_be_bytes(it)))
}

/// The number of 16 bits at `at`, the least byte first.
pub(super) fn u16_le(content: &[u8], at: usize) -> Option<u32> {
    array(content, at).map(|it| u32::from(u16::from_le_bytes(it)))
}

fn u32_be(content: &[u8], at: usize) -> Option<u32> {
    array(content, at).map(u32::from_be_bytes)
}

/// The number of 32 bits at `at`, the least byte first.
pub(super) fn u32_le(content: &[u8], at: usize) -> Option<u32> {
    array(content, at).map(u32::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pixels(content: &[u8]) -> Option<(Format, u32, u32)> {
        let format = Format::of(content)?;
        let Image { width, height } = format.pixels(content)?;
        Some((format, width, height))
    }

    #[test]
    fn headers_that_programs_write_and_few_expect() {
        // Rows from the top: the height is negative.
        let mut bmp = b"BM\0\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0\x40\x01\0\0".to_vec();
        bmp.extend((-200_i32).to_le_bytes());
        assert_eq!(pixels(&bmp), Some((Format::Bmp, 320, 200)));
        let os2 = b"BM\0\0\0\0\0\0\0\0\x1a\0\0\0\x0c\0\0\0\x40\x01\xc8\0";
        assert_eq!(pixels(os2), Some((Format::Bmp, 320, 200)));
        // Fill bytes before a marker, and a table before the frame.
        let jpeg = b"\xff\xd8\xff\xff\xff\xc4\0\x03x\xff\xff\xc2\0\x11\x08\0\xc8\x01\x40";
        assert_eq!(pixels(jpeg), Some((Format::Jpeg, 320, 200)));
        let icons = b"\0\0\x01\0\x02\0\x10\x10aaaaaaaaaaaaaa\0\0aaaaaaaaaaaaaa";
        assert_eq!(pixels(icons), Some((Format::Ico, 256, 256)));
        let lossless = b"RIFF\0\0\0\0WEBPVP8L\0\0\0\0\x2f\x3f\xc1\x31\0";
        assert_eq!(pixels(lossless), Some((Format::Webp, 320, 200)));
        let extended = b"RIFF\0\0\0\0WEBPVP8X\0\0\0\0\0\0\0\0\x3f\x01\0\xc7\0\0";
        assert_eq!(pixels(extended), Some((Format::Webp, 320, 200)));
        let tiff = b"MM\0*\0\0\0\x08\0\x02\x01\0\0\x03\0\0\0\x01\x01\x40\0\0\x01\x01\0\x04\0\0\0\x01\0\0\0\xc8";
        assert_eq!(pixels(tiff), Some((Format::Tiff, 320, 200)));
    }

    #[test]
    fn a_jpeg_without_a_frame_ends() {
        for broken in [
            &b"\xff\xd8\xff"[..],
            b"\xff\xd8\xff\xe0",
            b"\xff\xd8\xff\xe0\0\0\xff\xc0\0\x11\x08\0\x01\0\x01",
            b"\xff\xd8\xff\xda\0\x02\xff\xc0\0\x11\x08\0\x01\0\x01",
            b"\xff\xd8\xff\xd9",
            b"\xff\xd8\xff\xff\xff\xff\xff",
        ] {
            assert_eq!(pixels(broken), None, "{broken:?}");
        }
    }

    #[test]
    fn avif_is_none_of_them() {
        let header = |brands: &str| {
            let length = u32::try_from(12 + brands.len()).unwrap();
            let mut content = length.to_be_bytes().to_vec();
            content.extend(b"ftyp");
            content.extend(&brands.as_bytes()[..4]);
            content.extend([0; 4]);
            content.extend(&brands.as_bytes()[4..]);
            Format::of(&content)
        };
        assert_eq!(header("heicmif1"), Some(Format::Heic));
        assert_eq!(header("mif1heic"), Some(Format::Heic));
        assert_eq!(header("mif1"), Some(Format::Heic));
        assert_eq!(header("avifmif1"), None);
        assert_eq!(header("mif1avif"), None);
        assert_eq!(header("isommp42"), None);
    }

    proptest! {
        /// Nothing that follows a format's beginning makes it panic or run on.
        #[test]
        fn any_bytes_have_pixels_or_none(
            beginning in prop::sample::select(vec![
                &b"\xff\xd8\xff"[..],
                b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
                b"GIF89a",
                b"BM",
                b"\0\0\x01\0",
                b"II*\0",
                b"MM\0*\0\0\0\x08",
                b"RIFF\0\0\0\0WEBPVP8 ",
                b"\0\0\0\x10ftypheic\0\0\0\0\0\0\0\x20meta\0\0\0\0\0\0\0\x18iprp\0\0\0\x10ipco\0\0\0\x08ispe",
            ]),
            rest in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            let content = [beginning, &rest].concat();
            for length in 0..=content.len() {
                let _some_or_none = pixels(&content[..length]);
            }
        }
    }
}
