//! Images, files and forms as bytes: the least that each format needs, as programs write it.

/// A PNG that says it has so many pixels.
#[must_use]
pub fn png(width: u32, height: u32) -> Vec<u8> {
    let sizes = [width.to_be_bytes(), height.to_be_bytes()].concat();
    let end = b"\x08\x02\0\0\0aaaa\0\0\0\0IEND\xae\x42\x60\x82";
    [b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", &sizes[..], end].concat()
}

/// A JPEG with a preview in its metadata, which has other pixels.
#[must_use]
pub fn jpeg(width: u16, height: u16) -> Vec<u8> {
    let frame = |width: u16, height: u16| {
        let sizes = [height.to_be_bytes(), width.to_be_bytes()].concat();
        [b"\xff\xc0\0\x11\x08", &sizes[..], b"\x03aaaaaaaaa"].concat()
    };
    let preview = [b"\xff\xd8", &frame(7, 7)[..], b"\xff\xd9"].concat();
    let length = u16::try_from(preview.len() + 2)
        .expect("short")
        .to_be_bytes();
    let parts = [
        &b"\xff\xd8\xff\xe1"[..],
        &length,
        &preview,
        &frame(width, height),
        b"\xff\xda\0\x02pixels\xff\xd9",
    ];
    parts.concat()
}

/// A GIF.
#[must_use]
pub fn gif(width: u16, height: u16) -> Vec<u8> {
    let sizes = [width.to_le_bytes(), height.to_le_bytes()].concat();
    [b"GIF89a", &sizes[..], b"\x80\0\0\0\0\0\xff\xff\xff;"].concat()
}

/// A WebP, lossy.
#[must_use]
pub fn webp(width: u16, height: u16) -> Vec<u8> {
    let sizes = [width.to_le_bytes(), height.to_le_bytes()].concat();
    [
        b"RIFF\x20\0\0\0WEBPVP8 \x14\0\0\0aaa\x9d\x01\x2a",
        &sizes[..],
        b"pixels",
    ]
    .concat()
}

/// A BMP of Windows.
#[must_use]
pub fn bmp(width: i32, height: i32) -> Vec<u8> {
    let sizes = [width.to_le_bytes(), height.to_le_bytes()].concat();
    [
        b"BM\0\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0",
        &sizes[..],
        b"\x01\0\x18\0",
    ]
    .concat()
}

/// An ICO with one icon.
#[must_use]
pub fn ico(width: u8, height: u8) -> Vec<u8> {
    [b"\0\0\x01\0\x01\0", &[width, height][..], b"aaaaaaaaaaaaaa"].concat()
}

/// A TIFF.
#[must_use]
pub fn tiff(width: u32, height: u32) -> Vec<u8> {
    let (width, height) = (width.to_le_bytes(), height.to_le_bytes());
    let parts = [
        &b"II*\0\x0a\0\0\0aa\x02\0\0\x01\x04\0\x01\0\0\0"[..],
        &width,
        b"\x01\x01\x04\0\x01\0\0\0",
        &height,
        b"\0\0\0\0",
    ];
    parts.concat()
}

/// A box of ISO/IEC 14496-12.
fn nested(kind: &[u8; 4], inside: &[u8]) -> Vec<u8> {
    let length = u32::try_from(inside.len() + 8).expect("short");
    [&length.to_be_bytes()[..], kind, inside].concat()
}

/// A file of ISO/IEC 14496-12 of these brands, the major one first, without anything behind.
#[must_use]
pub fn of_brands(brands: &[&[u8; 4]]) -> Vec<u8> {
    let mut inside = brands[0].to_vec();
    inside.extend([0; 4]);
    brands[1..].iter().for_each(|brand| inside.extend(*brand));
    nested(b"ftyp", &inside)
}

/// A HEIC with a thumbnail.
#[must_use]
pub fn heic(width: u32, height: u32) -> Vec<u8> {
    let size = |width: u32, height: u32| {
        let sizes = [width.to_be_bytes(), height.to_be_bytes()].concat();
        nested(b"ispe", &[&[0; 4], &sizes[..]].concat())
    };
    let sizes = [size(16, 16), size(width, height)].concat();
    let properties = nested(b"iprp", &nested(b"ipco", &sizes));
    let meta = nested(b"meta", &[&[0; 4], &properties[..]].concat());
    [of_brands(&[b"heic", b"mif1", b"heic"]), meta].concat()
}

/// Opus sound in Ogg.
#[must_use]
pub fn opus() -> Vec<u8> {
    b"OggS\0\x02aaaaaaaaaaaaaaaaaaaa\x01\x13OpusHead\x01\x02".to_vec()
}

/// A video.
#[must_use]
pub fn mp4() -> Vec<u8> {
    of_brands(&[b"isom", b"isom", b"mp42"])
}

/// A PDF.
#[must_use]
pub fn pdf() -> Vec<u8> {
    b"%PDF-1.7\n%%EOF\n".to_vec()
}

/// A document of Office since 2007, or another ZIP: files of these names.
#[must_use]
pub fn zip(names: &[&str]) -> Vec<u8> {
    let number = |length: usize| u16::try_from(length).expect("short").to_le_bytes();
    let (mut content, mut list) = (Vec::new(), Vec::new());
    for name in names {
        let at = u32::try_from(content.len()).expect("short").to_le_bytes();
        content.extend(b"PK\x03\x04\x14\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0");
        content.extend([&number(name.len())[..], &[0; 2], name.as_bytes()].concat());
        list.extend(b"PK\x01\x02\x14\0\x14\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0");
        list.extend([&number(name.len())[..], &[0; 12], &at, name.as_bytes()].concat());
    }
    let at = u32::try_from(content.len()).expect("short").to_le_bytes();
    let bytes = u32::try_from(list.len()).expect("short").to_le_bytes();
    let count = number(names.len());
    content.extend(list);
    content.extend(
        [
            b"PK\x05\x06\0\0\0\0",
            &count[..],
            &count,
            &bytes,
            &at,
            b"\0\0",
        ]
        .concat(),
    );
    content
}

/// A document of Office before 2007: a compound file whose root has streams of these names. Its allocation table is in sector 0,
/// its directory in the others.
#[must_use]
pub fn compound_file(streams: &[&str]) -> Vec<u8> {
    let mut content = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1".to_vec();
    content.resize(512, 0xff);
    content[30..32].copy_from_slice(&9_u16.to_le_bytes());
    content[48..52].copy_from_slice(&1_u32.to_le_bytes());
    content[76..80].copy_from_slice(&0_u32.to_le_bytes());
    let sectors = u32::try_from((streams.len() + 1).div_ceil(4)).expect("short");
    let mut table = 0xffff_fffd_u32.to_le_bytes().to_vec();
    for sector in 1..=sectors {
        let next = if sector == sectors {
            0xffff_fffe
        } else {
            sector + 1
        };
        table.extend(next.to_le_bytes());
    }
    table.resize(512, 0xff);
    content.extend(table);
    let count = u32::try_from(streams.len()).expect("short");
    for (index, name) in std::iter::once(&"Root Entry").chain(streams).enumerate() {
        let units: Vec<u8> = name.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let length = u16::try_from(units.len() + 2).expect("short");
        let mut entry = units;
        entry.resize(64, 0);
        entry.extend(length.to_le_bytes());
        entry.extend([if index == 0 { 5 } else { 2 }, 1]);
        // Each is to the right of the one before it.
        let index = u32::try_from(index).expect("short");
        let right = if (1..count).contains(&index) {
            index + 1
        } else {
            u32::MAX
        };
        let child = if index == 0 && count > 0 { 1 } else { u32::MAX };
        entry.extend(
            [
                u32::MAX.to_le_bytes(),
                right.to_le_bytes(),
                child.to_le_bytes(),
            ]
            .concat(),
        );
        entry.resize(128, 0);
        content.extend(entry);
    }
    content.resize((2 + usize::try_from(sectors).expect("short")) * 512, 0);
    content
}

/// A form on its way: `multipart/form-data` with the boundary `b0`.
#[derive(Clone, Debug, Default)]
pub struct TestForm {
    body: Vec<u8>,
}

/// The header `Content-Type` of a [`TestForm`].
pub const FORM: &str = "multipart/form-data; boundary=b0";

impl TestForm {
    /// With one more part: its `Content-Disposition` behind `form-data`, and its content.
    #[must_use]
    pub fn part(self, disposition: &str, content: impl AsRef<[u8]>) -> Self {
        let head = format!("Content-Disposition: form-data{disposition}\r\n");
        self.raw_part(head.as_bytes(), content)
    }

    /// With one more part: the lines of its headers, and its content.
    #[must_use]
    pub fn raw_part(mut self, headers: &[u8], content: impl AsRef<[u8]>) -> Self {
        self.body.extend(b"--b0\r\n");
        self.body.extend(headers);
        self.body.extend(b"\r\n");
        self.body.extend(content.as_ref());
        self.body.extend(b"\r\n");
        self
    }

    /// With a field.
    #[must_use]
    pub fn field(self, name: &str, value: &str) -> Self {
        self.part(&format!("; name=\"{name}\""), value)
    }

    /// The body, without its end.
    #[must_use]
    pub fn open(self) -> Vec<u8> {
        self.body
    }

    /// The body.
    #[must_use]
    pub fn end(mut self) -> Vec<u8> {
        self.body.extend(b"--b0--\r\n");
        self.body
    }
}

/// The form with `content` as its part `name`, and a file name.
#[must_use]
pub fn form(name: &str, content: impl AsRef<[u8]>) -> TestForm {
    let disposition = format!("; name=\"{name}\"; filename=\"a.bin\"");
    TestForm::default().part(&disposition, content)
}
