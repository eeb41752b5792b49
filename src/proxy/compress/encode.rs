//! The codings themselves, as something that bytes go into and come out of. No input, no output, no waiting.
use std::io::{self, Write as _};

use super::accept::Coding;

/// Never more than this of what was said before is looked back at: 256 KiB. It bounds the memory of a response being
/// compressed to one or two MiB.
const WINDOW_BITS: u32 = 18;
const ZSTD_LEVEL: i32 = 3;
const BROTLI_LEVEL: u32 = 4;
const GZIP_LEVEL: u32 = 5;
/// Bytes that brotli hands on at a time.
const BROTLI_PIECE: usize = 16 << 10;

pub struct Encoder(Kind);

enum Kind {
    Zstd(zstd::stream::write::Encoder<'static, Vec<u8>>),
    Brotli(Box<brotli::CompressorWriter<Vec<u8>>>),
    Gzip(flate2::write::GzEncoder<Vec<u8>>),
}

impl Encoder {
    /// With levels that keep up with a network. `length`: bytes to come, when that is known; less of them takes
    /// less memory.
    /// Errors: when the library cannot be set up.
    pub fn fast(coding: Coding, length: Option<u64>) -> io::Result<Self> {
        Ok(Self(match coding {
            Coding::Zstd => {
                let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), ZSTD_LEVEL)?;
                encoder.set_parameter(zstd::zstd_safe::CParameter::WindowLog(WINDOW_BITS))?;
                encoder.set_pledged_src_size(length)?;
                Kind::Zstd(encoder)
            }
            Coding::Brotli => {
                let bits = length.map_or(WINDOW_BITS, bits).clamp(12, WINDOW_BITS);
                let writer = brotli::CompressorWriter::new(Vec::new(), BROTLI_PIECE, BROTLI_LEVEL, bits);
                Kind::Brotli(Box::new(writer))
            }
            Coding::Gzip => Kind::Gzip(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(GZIP_LEVEL))),
        }))
    }

    /// Takes all of `bytes`; what comes out at once is in [`Encoder::take`].
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.0 {
            Kind::Zstd(encoder) => encoder.write_all(bytes),
            Kind::Brotli(encoder) => encoder.write_all(bytes),
            Kind::Gzip(encoder) => encoder.write_all(bytes),
        }
    }

    /// Everything written so far can be read from what has come out after this.
    pub fn flush(&mut self) -> io::Result<()> {
        match &mut self.0 {
            Kind::Zstd(encoder) => encoder.flush(),
            Kind::Brotli(encoder) => encoder.flush(),
            Kind::Gzip(encoder) => encoder.flush(),
        }
    }

    /// What has come out since the last time.
    pub fn take(&mut self) -> Vec<u8> {
        std::mem::take(match &mut self.0 {
            Kind::Zstd(encoder) => encoder.get_mut(),
            Kind::Brotli(encoder) => encoder.get_mut(),
            Kind::Gzip(encoder) => encoder.get_mut(),
        })
    }

    /// The end of it, with whatever was not taken.
    pub fn finish(self) -> io::Result<Vec<u8>> {
        match self.0 {
            Kind::Zstd(encoder) => encoder.finish(),
            Kind::Brotli(encoder) => Ok(encoder.into_inner()),
            Kind::Gzip(encoder) => encoder.finish(),
        }
    }
}

/// Bits of a window that holds `length` bytes.
fn bits(length: u64) -> u32 {
    u64::BITS - length.leading_zeros()
}

#[cfg(test)]
#[path = "encode_tests.rs"]
pub mod tests;
