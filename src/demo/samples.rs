//! Files that a phone of the demo can send without having any: drawn here, none of them real.

use std::io::Cursor;

use image::{DynamicImage, ImageFormat, Rgb, Rgb32FImage, codecs::jpeg::JpegEncoder};

/// How large the drawn pictures are, in points.
const WIDTH: u16 = 480;
const HEIGHT: u16 = 320;
/// One byte more than the carrier takes from a phone.
const TOO_LARGE: usize = 15 * 1024 * 1024 + 1;
/// Where the sunset was, as a phone writes it into what it takes.
const PLACE: &[u8] = b"47.6062N 122.3321W\0";
/// Somebody's name and number, which is no picture.
const CARD: &str = "BEGIN:VCARD\r\nVERSION:3.0\r\nFN:Cleo\r\nTEL:+12065550163\r\nEND:VCARD\r\n";

/// A file with this name: its type and what is in it; nothing where no sample has the name.
pub(super) fn sample(name: &str) -> Option<(&'static str, Vec<u8>)> {
    match name {
        "bicycle" => {
            let mut png = Cursor::new(Vec::new());
            draw(bicycle).write_to(&mut png, ImageFormat::Png).ok()?;
            Some(("image/png", png.into_inner()))
        }
        "sunset" => Some(("image/jpeg", with_place(&jpeg()?))),
        "contact" => Some(("text/vcard", CARD.into())),
        "huge" => {
            let mut huge = jpeg()?;
            huge.resize(TOO_LARGE, 0);
            Some(("image/jpeg", huge))
        }
        _ => None,
    }
}

fn jpeg() -> Option<Vec<u8>> {
    let mut jpeg = Vec::new();
    let encoder = JpegEncoder::new_with_quality(&mut jpeg, 85);
    draw(sunset).write_with_encoder(encoder).ok()?;
    Some(jpeg)
}

/// Writes the place into a JPEG, as the description in its EXIF.
fn with_place(jpeg: &[u8]) -> Vec<u8> {
    let length = u8::try_from(PLACE.len()).unwrap_or_default();
    // One directory with one entry: tag 0x010e, text, so long, at 26.
    let head = [b"II*\0\x08\0\0\0\x01\0\x0e\x01\x02\0".as_slice(), &[length, 0, 0, 0, 26, 0, 0, 0]];
    let exif = [b"Exif\0\0".as_slice(), &head.concat(), &[0; 4], PLACE].concat();
    let whole = u16::try_from(exif.len() + 2).unwrap_or_default().to_be_bytes();
    [&jpeg[..2], &[0xff, 0xe1], &whole, &exif, &jpeg[2..]].concat()
}

/// Asks for the colour of each point, whose middle is (0, 0) and whose height is 2.
fn draw(colour: impl Fn(f32, f32) -> [f32; 3]) -> DynamicImage {
    let at = |place: u32, of: u16| {
        let place = u16::try_from(place).unwrap_or_default();
        (f32::from(place) - f32::from(of) / 2.0) * 2.0 / f32::from(HEIGHT)
    };
    let drawn = Rgb32FImage::from_fn(WIDTH.into(), HEIGHT.into(), |x, y| {
        Rgb(colour(at(x, WIDTH), at(y, HEIGHT)))
    });
    DynamicImage::from(drawn).into_rgb8().into()
}

fn mix(from: [f32; 3], to: [f32; 3], share: f32) -> [f32; 3] {
    let share = share.clamp(0.0, 1.0);
    std::array::from_fn(|part| from[part] + (to[part] - from[part]) * share)
}

fn sunset(x: f32, y: f32) -> [f32; 3] {
    let sky = mix([0.20, 0.22, 0.47], [0.98, 0.62, 0.36], f32::midpoint(y, 1.0) * 1.4);
    let sun = mix([1.0, 0.93, 0.70], sky, (x.hypot(y - 0.25) - 0.3) * 60.0);
    let glint = (-x.abs() * 4.0).exp() * (0.6 + 0.4 * (y * 60.0 + x * 9.0).sin());
    let sea = mix([0.10, 0.17, 0.33], [0.99, 0.72, 0.44], glint);
    mix(sun, sea, (y - 0.35) * 60.0)
}

fn bicycle(x: f32, y: f32) -> [f32; 3] {
    const FRAME: [[f32; 4]; 7] = [
        [-0.62, 0.35, -0.08, 0.35],
        [-0.62, 0.35, -0.24, -0.25],
        [-0.08, 0.35, -0.27, -0.36],
        [-0.24, -0.25, 0.42, -0.25],
        [-0.08, 0.35, 0.42, -0.25],
        [0.62, 0.35, 0.38, -0.42],
        [0.38, -0.42, 0.56, -0.46],
    ];
    let wheel = |middle: f32| ((x - middle).hypot(y - 0.35) - 0.36).abs();
    let frame = FRAME.iter().map(|line| distance(x, y, *line)).fold(f32::MAX, f32::min);
    let saddle = distance(x, y, [-0.38, -0.37, -0.16, -0.37]);
    let wall = mix([0.96, 0.92, 0.82], [0.80, 0.74, 0.62], (y - 0.68) * 40.0);
    let tyres = mix([0.12, 0.14, 0.13], wall, (wheel(-0.62).min(wheel(0.62)) - 0.025) * 120.0);
    let green = mix([0.09, 0.48, 0.29], tyres, (frame - 0.026) * 120.0);
    mix([0.36, 0.20, 0.10], green, (saddle - 0.04) * 120.0)
}

/// How far a point is from a line between two others.
fn distance(x: f32, y: f32, [x1, y1, x2, y2]: [f32; 4]) -> f32 {
    let (dx, dy) = (x2 - x1, y2 - y1);
    let along = (((x - x1) * dx + (y - y1) * dy) / (dx * dx + dy * dy)).clamp(0.0, 1.0);
    (x - x1 - along * dx).hypot(y - y1 - along * dy)
}
