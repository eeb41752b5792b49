//! The bytes of a file on their way: at once when the system has them in memory, which is the rule; otherwise from
//! another thread, which may wait for a disk.
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use axum::body::Body;
use bytes::Bytes;
use hyper::Response;
use tokio::io::AsyncReadExt as _;
use tokio_util::io::ReaderStream;

use crate::base::fs::{open_beneath, read_cached};
use crate::base::{Result, ResultExt as _};

/// Parts up to this size are read at once; larger ones are streamed in pieces of it.
const PIECE: u64 = 64 << 10;

/// What is sent of a file.
pub enum Contents {
    Nothing,
    /// `[start, end)` of the file, never empty.
    Part {
        root: PathBuf,
        name: PathBuf,
        start: u64,
        end: u64,
    },
}

/// Opens what is to be sent.
/// Errors: `NotFound` when the file is no longer there (its version was just removed), `Internal` when it cannot be read.
pub async fn send(response: Response<Contents>) -> Result<Response<Body>> {
    let (parts, contents) = response.into_parts();
    let body = match contents {
        Contents::Nothing => Body::empty(),
        Contents::Part { root, name, start, end } => {
            let small = end - start <= PIECE;
            let at_hand = if small { read_cached(&root, &name, start, end - start) } else { None };
            match at_hand {
                Some(bytes) => Body::from(bytes),
                None => {
                    let work = move || open(&root, &name, start, end);
                    tokio::task::spawn_blocking(work).await.internal("while reading a static file")??
                }
            }
        }
    };
    Ok(Response::from_parts(parts, body))
}

fn open(root: &Path, name: &Path, start: u64, end: u64) -> Result<Body> {
    let mut file = open_beneath(root, name)?;
    if start > 0 {
        file.seek(SeekFrom::Start(start)).internal("while reading a static file")?;
    }
    if end - start > PIECE {
        let file = tokio::fs::File::from_std(file).take(end - start);
        let piece = usize::try_from(PIECE).unwrap_or(4096);
        return Ok(Body::from_stream(ReaderStream::with_capacity(file, piece)));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(end - start).unwrap_or(0));
    file.take(end - start).read_to_end(&mut bytes).internal("while reading a static file")?;
    Ok(Body::from(Bytes::from(bytes)))
}
