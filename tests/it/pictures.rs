//! Pictures: passed on, without what they tell beyond what they show.

use std::{io::Cursor, slice::from_ref};

use gif::{Encoder, Frame, Repeat};
use image::{
    DynamicImage, ImageDecoder, ImageFormat, ImageReader, RgbImage, RgbaImage,
    codecs::jpeg::JpegEncoder,
};
use maskline::{
    carrier::simulator::{PhoneText, Way},
    media::worker,
};
use rand::{Rng, SeedableRng, rngs::Xoshiro256PlusPlus};
use reqwest::Response;
use serde_json::{Value, json};

use crate::support::{Phone, TestApp};

/// Where Ann lives, as her phone writes it into a picture: 47° 36' N. Nobody else may know.
const SECRET_PLACE: &[u8] = b"47.6062N 122.3321W";

/// A picture of noise, which no encoder makes small.
fn noise(width: u32, height: u32) -> RgbImage {
    let mut image = RgbImage::new(width, height);
    Xoshiro256PlusPlus::seed_from_u64(1).fill_bytes(&mut image);
    image
}

fn written(image: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

/// A small picture that lost nothing.
pub fn png(width: u32, height: u32) -> Vec<u8> {
    written(&noise(width, height).into(), ImageFormat::Png)
}

pub fn jpeg(width: u32, height: u32, quality: u8) -> Vec<u8> {
    let mut bytes = Vec::new();
    let encoder = JpegEncoder::new_with_quality(&mut bytes, quality);
    DynamicImage::from(noise(width, height)).write_with_encoder(encoder).unwrap();
    bytes
}

/// A JPEG as phones make them: lying on its side, with a place in its EXIF, its XMP, its IPTC and
/// its comment, and more behind its end.
fn from_a_phone(width: u32, height: u32) -> Vec<u8> {
    let plain = jpeg(width, height, 80);
    let segment = |marker: u8, name: &[u8], content: &[u8]| {
        let length = u16::try_from(2 + name.len() + content.len()).unwrap().to_be_bytes();
        [&[0xff, marker], &length[..], name, content].concat()
    };
    // One directory: turned by 90 degrees (0x0112 = 6), and a description (0x010e) that tells all.
    let entry = |tag: u16, kind: u16, count: u32, value: u32| {
        [&tag.to_le_bytes()[..], &kind.to_le_bytes(), &count.to_le_bytes(), &value.to_le_bytes()]
            .concat()
    };
    let length = u32::try_from(SECRET_PLACE.len()).unwrap();
    let tiff = [
        &b"II*\0\x08\0\0\0\x02\0"[..],
        &entry(0x010e, 2, length, 38),
        &entry(0x0112, 3, 1, 6),
        &[0; 4],
        SECRET_PLACE,
    ]
    .concat();
    [
        &plain[..2],
        &segment(0xe1, b"Exif\0\0", &tiff),
        &segment(0xe1, b"http://ns.adobe.com/xap/1.0/\0", SECRET_PLACE),
        &segment(0xed, b"Photoshop 3.0\0", SECRET_PLACE),
        &segment(0xfe, b"", SECRET_PLACE),
        &plain[2..],
        SECRET_PLACE,
    ]
    .concat()
}

fn holds(bytes: &[u8], what: &[u8]) -> bool {
    bytes.windows(what.len()).any(|at| at == what)
}

/// The last text on a phone, whole.
pub fn last(phone: &Phone<'_>, test: &TestApp) -> PhoneText {
    let texts = test.simulator.phone(&phone.number).into_iter();
    texts.rev().find(|text| text.direction == Way::In).unwrap()
}

/// Fetches the pictures of a text as the carrier does.
async fn pictures(test: &TestApp, text: &PhoneText) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for url in &text.media_urls {
        let answer = test.http.get(url).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(header(&answer, "x-content-type-options"), "nosniff");
        let mime = header(&answer, "content-type").to_owned();
        found.push((mime, answer.bytes().await.unwrap().to_vec()));
    }
    found
}

pub fn header<'a>(answer: &'a Response, name: &str) -> &'a str {
    answer.headers()[name].to_str().unwrap()
}

#[tokio::test]
async fn a_picture_reaches_the_other_phone_upright_and_without_the_place() {
    let test = TestApp::start().await;
    let (ann, ben) = test.conversation().await;
    let photo = from_a_phone(60, 40);
    let mut decoder =
        ImageReader::with_format(Cursor::new(&photo), ImageFormat::Jpeg).into_decoder().unwrap();
    assert_ne!(decoder.orientation().unwrap(), image::metadata::Orientation::NoTransforms);

    ann.sends(Some("my garden"), &[test.hosts(photo.clone())]).await;
    test.deliver().await;

    let arrived = last(&ben, &test);
    assert_eq!(arrived.body, "my garden");
    let [(mime, picture)] = &pictures(&test, &arrived).await[..] else { panic!("{arrived:?}") };
    assert_eq!(mime, "image/jpeg");
    for trace in [SECRET_PLACE, b"Exif", b"xap", b"Photoshop"] {
        assert!(!holds(picture, trace), "{}", String::from_utf8_lossy(trace));
    }
    let seen = image::load_from_memory(picture).unwrap();
    assert_eq!((seen.width(), seen.height()), (40, 60));
    assert!(ann.inbox().iter().all(|text| !text.contains("Sorry")));
}

#[tokio::test]
async fn what_the_other_formats_tell_beyond_the_picture_is_gone_too() {
    let test = TestApp::start().await;
    let (ann, ben) = test.conversation().await;

    let mut told = Vec::new();
    let mut encoder = png::Encoder::new(&mut told, 2, 2);
    encoder.set_color(png::ColorType::Rgb);
    encoder
        .add_text_chunk("Location".into(), String::from_utf8_lossy(SECRET_PLACE).into())
        .unwrap();
    encoder.write_header().unwrap().write_image_data(&[9; 12]).unwrap();

    let mut moving = Vec::new();
    let mut encoder = Encoder::new(&mut moving, 4, 4, &[0, 0, 0, 255, 255, 255]).unwrap();
    encoder.set_repeat(Repeat::Infinite).unwrap();
    encoder.write_raw_extension(gif::AnyExtension(0xfe), &[SECRET_PLACE]).unwrap();
    for shade in [0, 1, 0] {
        let frame =
            Frame { width: 4, height: 4, buffer: vec![shade; 16].into(), ..Frame::default() };
        encoder.write_frame(&frame).unwrap();
    }
    drop(encoder);

    for (file, kind, frames) in [(told, "image/png", 1), (moving, "image/gif", 3)] {
        assert!(holds(&file, SECRET_PLACE));
        ann.sends(None, &[test.hosts(file)]).await;
        test.deliver().await;
        let arrived = last(&ben, &test);
        let [(mime, picture)] = &pictures(&test, &arrived).await[..] else { panic!("{arrived:?}") };
        assert_eq!((mime.as_str(), holds(picture, SECRET_PLACE)), (kind, false));
        if frames > 1 {
            let mut decoder = gif::Decoder::new(&picture[..]).unwrap();
            let mut count = 0;
            while decoder.read_next_frame().unwrap().is_some() {
                count += 1;
            }
            assert_eq!((count, decoder.repeat()), (frames, Repeat::Infinite));
        }
    }
}

#[tokio::test]
async fn text_and_pictures_keep_their_order() {
    let test = TestApp::start().await;
    let (ann, ben) = test.conversation().await;
    let before = ben.inbox().len();

    ann.texts("first").await;
    ann.sends(None, &[test.hosts(png(3, 3)), test.hosts(png(4, 4))]).await;
    ann.texts("third").await;
    ann.sends(Some("fourth"), &[test.hosts(png(5, 5))]).await;
    ann.texts("fifth").await;
    // Nothing is fetched yet, so nothing but the first may go.
    while maskline::outbox::worker::step(&test.app, &test.carrier).await.unwrap() > 0 {}
    assert_eq!(ben.inbox()[before..], ["first"]);
    test.deliver().await;

    let texts = test.simulator.phone(&ben.number).into_iter();
    let arrived: Vec<_> = texts
        .filter(|text| text.direction == Way::In)
        .map(|text| (text.body, text.media_urls.len()))
        .collect();
    let expected = [("first", 0), ("", 2), ("third", 0), ("fourth", 1), ("fifth", 0)];
    assert_eq!(arrived[before..], expected.map(|(body, count)| (body.to_owned(), count)));
}

#[tokio::test]
async fn a_text_waits_for_its_pictures_and_is_sent_as_mms() {
    let test = TestApp::start().await;
    let (ann, ben) = test.conversation().await;
    ann.sends(Some("look"), &[test.hosts(png(3, 3))]).await;
    maskline::outbox::worker::step(&test.app, &test.carrier).await.unwrap();
    assert_ne!(ben.last(), "look");
    assert_eq!(worker::step(&test.app, &test.sources).await.unwrap(), 1);
    test.deliver().await;
    assert_eq!(ben.last(), "look");

    let sent = test
        .simulator
        .exchanges()
        .into_iter()
        .rev()
        .find(|call| call.method == "POST" && call.url.ends_with("/v2.2/messages"));
    let sent = &sent.unwrap().request["data"]["attributes"];
    assert_eq!((&sent["is_mms"], &sent["body"]), (&json!(true), &json!("look")));
    assert_eq!(sent["media_urls"].as_array().map(Vec::len), Some(1));
    let delivered = "select delivery from carrier_message where direction = 'outbound'
                     order by noted_at desc, carrier_id limit 1";
    assert_eq!(test.value::<String>(delivered).await, "delivered");
}

#[tokio::test]
async fn a_large_photo_is_made_to_fit() {
    let test = TestApp::start().await;
    let (ann, ben) = test.conversation().await;
    let photo = jpeg(1600, 1200, 98);
    assert!(photo.len() > 3_000_000, "{}", photo.len());
    // Fifteen megabytes are the most that a phone may send; most of this is behind the picture.
    let mut largest = jpeg(200, 100, 90);
    largest.resize(15 * 1024 * 1024, 0);

    ann.sends(None, &[test.hosts(photo)]).await;
    ann.sends(None, &[test.hosts(largest)]).await;
    test.deliver().await;

    let texts: Vec<_> = test.simulator.phone(&ben.number);
    let mut sizes = Vec::new();
    for text in &texts[texts.len() - 2..] {
        for (mime, picture) in pictures(&test, text).await {
            assert_eq!((mime.as_str(), picture.len() <= 750_000), ("image/jpeg", true));
            let seen = image::load_from_memory(&picture).unwrap();
            sizes.push((seen.width(), seen.height()));
        }
    }
    assert!(sizes[0].0 >= 512 && sizes[0].0 * 3 == sizes[0].1 * 4, "{sizes:?}");
    assert_eq!(sizes[1], (200, 100));
}

#[tokio::test]
async fn several_pictures_share_the_room_and_what_is_transparent_stays_so() {
    let test = TestApp::start().await;
    let (ann, ben) = test.conversation().await;
    let mut glass = RgbaImage::new(700, 500);
    Xoshiro256PlusPlus::seed_from_u64(2).fill_bytes(&mut glass);
    let glass = written(&glass.into(), ImageFormat::Png);
    let webp = written(&noise(300, 200).into(), ImageFormat::WebP);
    let photo = jpeg(900, 700, 95);

    let media = [photo, glass, webp].map(|file| test.hosts(file));
    ann.sends(None, &media).await;
    test.deliver().await;

    let arrived = pictures(&test, &last(&ben, &test)).await;
    let mimes: Vec<_> = arrived.iter().map(|(mime, _)| mime.as_str()).collect();
    assert_eq!(mimes, ["image/jpeg", "image/png", "image/jpeg"]);
    let sizes: Vec<_> = arrived.iter().map(|(_, picture)| picture.len()).collect();
    assert!(sizes.iter().sum::<usize>() <= 750_000, "{sizes:?}");
}

#[tokio::test]
async fn the_trail_tells_what_was_passed_on_and_no_url_that_opens_it() {
    let test = TestApp::start().await;
    let (ann, ben) = test.conversation().await;
    let media = test.hosts(png(3, 3));
    ann.sends(Some("look"), from_ref(&media)).await;
    test.deliver().await;

    let (_, picture) = pictures(&test, &last(&ben, &test)).await.remove(0);
    let told: Value = test
        .value("select media->0 || jsonb_build_object('person', person_id, 'carrier', carrier_id) from audit_record where kind = 'pictures'")
        .await;
    assert_eq!(
        (&told["mime_type"], &told["file_size"]),
        (&json!("image/png"), &json!(picture.len()))
    );
    let digest: String =
        test.value("select media->0->>'sha256' from audit_record where kind = 'pictures'").await;
    assert_eq!(digest.len(), 64);
    assert!(told["person"].is_string() && told["carrier"].is_string());

    let signature = media.url.split_once('?').unwrap().1;
    assert_eq!(test.places(signature).await, [""; 0]);
    let token = last(&ben, &test).media_urls[0].rsplit('/').next().unwrap().to_owned();
    assert_eq!(test.places(&token).await, [""; 0]);
    assert_eq!(std::fs::read_dir(&test.folder).unwrap().count(), 1);
}
