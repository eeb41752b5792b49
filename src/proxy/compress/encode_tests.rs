use std::io::Read;

use super::*;
use proptest::prelude::*;

/// All that can be read of it, whether or not it has ended, and whether it has.
pub fn decode(coding: Coding, bytes: &[u8]) -> (Vec<u8>, bool) {
    let mut reader: Box<dyn Read + '_> = match coding {
        Coding::Zstd => Box::new(zstd::stream::read::Decoder::with_buffer(bytes).unwrap()),
        Coding::Brotli => Box::new(brotli::Decompressor::new(bytes, 4096)),
        Coding::Gzip => Box::new(flate2::read::GzDecoder::new(bytes)),
    };
    let (mut out, mut piece) = (Vec::new(), [0; 1000]);
    loop {
        match reader.read(&mut piece) {
            Ok(0) => return (out, true),
            Ok(n) => out.extend_from_slice(&piece[..n]),
            Err(_) => return (out, false),
        }
    }
}

/// Chunks that repeat themselves and each other, as text does, and chunks that do not.
pub fn chunks() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let text = ("[a-f]{1,12}", 1..400usize).prop_map(|(word, times)| word.repeat(times).into_bytes());
    let noise = proptest::collection::vec(any::<u8>(), 0..3000);
    proptest::collection::vec(prop_oneof![text, noise], 0..12)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn what_goes_in_comes_out(chunks in chunks(), known: bool) {
        let whole = chunks.concat();
        for coding in Coding::FAST {
            let mut encoder = Encoder::fast(coding, known.then_some(whole.len() as u64)).unwrap();
            let mut out = Vec::new();
            for chunk in &chunks {
                encoder.write(chunk).unwrap();
                out.extend(encoder.take());
            }
            out.extend(encoder.finish().unwrap());
            prop_assert_eq!(decode(coding, &out), (whole.clone(), true), "{:?}", coding);
        }
    }

    #[test]
    fn a_flushed_beginning_can_be_read_to_its_end(chunks in chunks()) {
        for coding in Coding::FAST {
            let mut encoder = Encoder::fast(coding, None).unwrap();
            let (mut said, mut out) = (Vec::new(), Vec::new());
            for chunk in &chunks {
                encoder.write(chunk).unwrap();
                encoder.flush().unwrap();
                out.extend(encoder.take());
                said.extend_from_slice(chunk);
                let (read, ended) = decode(coding, &out);
                prop_assert_eq!(&read, &said, "{:?}", coding);
                prop_assert!(!ended);
            }
        }
    }
}

#[test]
fn text_shrinks() {
    let text = "a line of text that is like the next one\n".repeat(1000);
    for coding in Coding::FAST {
        let mut encoder = Encoder::fast(coding, Some(text.len() as u64)).unwrap();
        encoder.write(text.as_bytes()).unwrap();
        let out = encoder.finish().unwrap();
        assert!(out.len() * 20 < text.len(), "{coding:?}: {}", out.len());
    }
}
