//! The picture itself: told by its bytes, painted anew, and made to fit. Pure.
//!
//! Nothing of the file that came in is passed on but what can be seen: no place, no time, no name of
//! a camera, no second file hidden behind the picture.

use std::io::Cursor;

use gif::{ColorOutput, DecodeOptions, Encoder, MemoryLimit};
use image::{
    DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, ImageResult, Limits,
    codecs::jpeg::JpegEncoder, imageops::FilterType,
};

use super::Refusal;

/// More points than this are not painted: a small file may hold a huge picture.
const POINTS: u64 = 50_000_000;
/// How much memory reading one picture may take, in bytes.
const MEMORY: u64 = 256 * 1024 * 1024;
/// A moving picture may have so many points in all its frames together.
const MOVING_POINTS: u64 = 200_000_000;
/// The longest edges that are tried, in points.
const EDGES: [u32; 8] = [u32::MAX, 2048, 1600, 1280, 1024, 768, 512, 256];
/// The qualities that are tried at each, in percent.
const QUALITIES: [u8; 2] = [88, 70];

/// A picture that may be passed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Picture {
    /// Its type.
    pub(super) mime: &'static str,
    /// The file.
    pub(super) bytes: Vec<u8>,
}

/// Makes of a file a picture of at most `budget` bytes.
pub(super) fn prepare(file: &[u8], budget: usize) -> Result<Picture, Refusal> {
    let format = image::guess_format(file).map_err(|_| Refusal::NotAPicture)?;
    match format {
        ImageFormat::Gif => {
            let moving = Some(file).filter(|file| file.len() <= budget).and_then(repaint);
            if let Some(bytes) = moving.filter(|bytes| bytes.len() <= budget) {
                return Ok(Picture { mime: "image/gif", bytes });
            }
        }
        ImageFormat::Jpeg | ImageFormat::Png | ImageFormat::WebP => {}
        _ => return Err(Refusal::NotAPicture),
    }
    let image = read(file, format).map_err(|error| match error {
        ImageError::Limits(_) => Refusal::TooLarge,
        _ => Refusal::Broken,
    })?;
    let sharp = format == ImageFormat::Png && file.len() <= budget;
    fit(image, file.len() <= budget, sharp, budget).ok_or(Refusal::TooLarge)
}

/// Reads a picture, the right way up.
fn read(file: &[u8], format: ImageFormat) -> ImageResult<DynamicImage> {
    let mut limits = Limits::default();
    limits.max_alloc = Some(MEMORY);
    let mut reader = ImageReader::with_format(Cursor::new(file), format);
    reader.limits(limits);
    let mut decoder = reader.into_decoder()?;
    let (width, height) = decoder.dimensions();
    if u64::from(width) * u64::from(height) > POINTS || decoder.total_bytes() > MEMORY {
        let kind = image::error::LimitErrorKind::DimensionError;
        return Err(ImageError::Limits(image::error::LimitError::from_kind(kind)));
    }
    let orientation = decoder.orientation()?;
    let mut image = DynamicImage::from_decoder(decoder)?;
    image.apply_orientation(orientation);
    Ok(plain(image))
}

/// The same picture in eight bits, without transparency where nothing is transparent.
fn plain(image: DynamicImage) -> DynamicImage {
    let color = image.color();
    if !color.has_alpha() {
        return if color.has_color() {
            image.into_rgb8().into()
        } else {
            image.into_luma8().into()
        };
    }
    let image = image.into_rgba8();
    if image.pixels().all(|point| point.0[3] == u8::MAX) {
        DynamicImage::from(image).into_rgb8().into()
    } else {
        image.into()
    }
}

/// The largest and best of this picture that fits. What is `sharp`, such as a picture of a screen,
/// stays so where that fits; what is transparent stays that, too.
fn fit(image: DynamicImage, whole: bool, sharp: bool, budget: usize) -> Option<Picture> {
    let is_transparent = image.color().has_alpha();
    let longest = image.width().max(image.height());
    // A file that is too large is never tried in its whole size: that would be in vain, and slow.
    let edges = EDGES.into_iter().skip(usize::from(!whole && longest > EDGES[1]));
    let mut image = image;
    let mut last = None;
    for edge in edges {
        if longest > edge {
            image = image.resize(edge, edge, FilterType::Triangle);
        }
        if last == Some(image.width()) {
            continue;
        }
        last = Some(image.width());
        if sharp || is_transparent {
            let fitting = png(&image).filter(|bytes| bytes.len() <= budget);
            if let Some(bytes) = fitting {
                return Some(Picture { mime: "image/png", bytes });
            }
        }
        if !is_transparent {
            let mut tries = QUALITIES.iter().filter_map(|quality| jpeg(&image, *quality));
            if let Some(bytes) = tries.find(|bytes| bytes.len() <= budget) {
                return Some(Picture { mime: "image/jpeg", bytes });
            }
        }
    }
    None
}

fn png(image: &DynamicImage) -> Option<Vec<u8>> {
    let mut bytes = Cursor::new(Vec::new());
    image.write_to(&mut bytes, ImageFormat::Png).ok()?;
    Some(bytes.into_inner())
}

fn jpeg(image: &DynamicImage, quality: u8) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    image.write_with_encoder(JpegEncoder::new_with_quality(&mut bytes, quality)).ok()?;
    Some(bytes)
}

/// The same moving picture, frame by frame, without comments and whatever else stands between
/// frames; none when it is broken, would take too long, or would be huge wherever it is shown.
fn repaint(file: &[u8]) -> Option<Vec<u8>> {
    let mut options = DecodeOptions::new();
    options.set_color_output(ColorOutput::Indexed);
    options.set_memory_limit(MemoryLimit::Bytes(MEMORY.try_into().ok()?));
    let mut decoder = options.read_info(file).ok()?;
    let (width, height) = (decoder.width(), decoder.height());
    if u64::from(width) * u64::from(height) > POINTS {
        return None;
    }
    let palette = decoder.global_palette().unwrap_or_default().to_vec();
    let mut bytes = Vec::new();
    let mut encoder = Encoder::new(&mut bytes, width, height, &palette).ok()?;
    let (mut points, mut frames) = (0, 0);
    while let Some(mut frame) = decoder.read_next_frame().ok()?.cloned() {
        if frames == 0 {
            encoder.set_repeat(decoder.repeat()).ok()?;
        }
        frames += 1;
        // Its lines are in order now.
        frame.interlaced = false;
        points += u64::from(frame.width) * u64::from(frame.height);
        if points > MOVING_POINTS {
            return None;
        }
        encoder.write_frame(&frame).ok()?;
    }
    drop(encoder);
    (frames > 0).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use image::RgbImage;
    use proptest::prelude::*;

    use super::*;

    /// The same picture in each of the formats.
    fn files(width: u32, height: u32) -> Vec<Vec<u8>> {
        let paint = |x: u32, y: u32| {
            image::Rgb([x / 3 + y, x + y / 3, x ^ y].map(|shade| shade.to_le_bytes()[0]))
        };
        let image = DynamicImage::from(RgbImage::from_fn(width, height, paint));
        [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::Gif, ImageFormat::WebP]
            .map(|format| {
                let mut bytes = Cursor::new(Vec::new());
                image.write_to(&mut bytes, format).unwrap();
                bytes.into_inner()
            })
            .into()
    }

    #[test]
    fn what_does_not_fit_as_it_is_is_made_smaller() {
        for file in files(600, 450) {
            let made = prepare(&file, 25_000);
            assert!(made.as_ref().is_ok_and(|made| made.bytes.len() <= 25_000), "{made:?}");
            assert_eq!(prepare(&file, 100), Err(Refusal::TooLarge));
        }
    }

    #[test]
    fn a_tiny_file_is_no_huge_picture_on_the_others_phone() {
        let mut file = Vec::new();
        let mut encoder = Encoder::new(&mut file, u16::MAX, u16::MAX, &[0, 0, 0, 9, 9, 9]).unwrap();
        encoder.write_frame(&gif::Frame::from_indexed_pixels(1, 1, vec![0], None)).unwrap();
        drop(encoder);
        assert_eq!(prepare(&file, 25_000), Err(Refusal::TooLarge));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn no_file_panics_and_all_that_is_made_fits(
            which in 0_usize..4,
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
            cut in any::<prop::sample::Index>(),
            is_cut in any::<bool>(),
        ) {
            let mut file = files(24, 16).swap_remove(which);
            for (at, byte) in changes {
                let at = at.index(file.len());
                file[at] = byte;
            }
            if is_cut {
                file.truncate(cut.index(file.len()));
            }
            if let Ok(made) = prepare(&file, 20_000) {
                prop_assert!(made.bytes.len() <= 20_000);
                prop_assert!(image::load_from_memory(&made.bytes).is_ok());
            }
        }
    }
}
