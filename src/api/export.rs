//! Export: one `.tar.gz`, streamed as it is made.
use std::io::{self, Write};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use bytes::{Bytes, BytesMut};
use hyper::header::{CONTENT_DISPOSITION, CONTENT_TYPE, HeaderValue};
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use super::Ctx;
use super::auth::{At, Edit};
use super::body::Problem;
use crate::base::{Error, ResultExt as _};

/// How long the client may leave a piece unread before the export is given up.
const STUCK: Duration = Duration::from_secs(60);
const PIECE: usize = 64 << 10;

pub(super) fn routes() -> Router<Ctx> {
    Router::new().route("/projects/{user}/{project}/export", get(export))
}

/// It holds the app's data, so seeing the code is not enough. An error before the first byte has its
/// status; one after it cuts the stream off, so that no half archive passes for a whole one.
async fn export(State(ctx): State<Ctx>, at: At<Edit>) -> Result<Response, Problem> {
    let (send, mut receive) = mpsc::channel::<io::Result<Bytes>>(4);
    let name = format!("attachment; filename=\"{}.tar.gz\"", at.project.path.project);
    let apps = ctx.apps.clone();
    let out = Pieces { send: send.clone(), runtime: Handle::current(), buffer: BytesMut::with_capacity(PIECE) };
    let work = ctx.tasks.spawn("api export", async move {
        let result = apps.export(&at.project, Box::new(out)).await;
        if let Err(error) = &result {
            tracing::warn!(?error, project = %at.project.path, "an export failed");
            let _ = send.send(Err(io::Error::other("the export failed"))).await;
        }
        result
    });
    let first = match receive.recv().await {
        Some(Ok(first)) => first,
        Some(Err(_)) | None => {
            work.await.internal("while exporting")??;
            return Err(Error::internal("the export came out empty").into());
        }
    };
    let rest = futures_util::stream::unfold((Some(first), receive), |(first, mut receive)| async move {
        match first {
            Some(first) => Some((Ok(first), (None, receive))),
            None => receive.recv().await.map(|next| (next, (None, receive))),
        }
    });
    let mut response = Response::new(Body::from_stream(rest));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/gzip"));
    headers.insert(CONTENT_DISPOSITION, HeaderValue::from_str(&name).internal("while naming an export")?);
    Ok(response)
}

/// A writer whose bytes leave in pieces. It blocks its thread, also one of the runtime's, while the client is slow.
struct Pieces {
    send: mpsc::Sender<io::Result<Bytes>>,
    runtime: Handle,
    buffer: BytesMut,
}

impl Pieces {
    fn pass(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let piece = self.buffer.split().freeze();
        let sent = tokio::task::block_in_place(|| {
            self.runtime.block_on(async { tokio::time::timeout(STUCK, self.send.send(Ok(piece))).await })
        });
        match sent {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(io::ErrorKind::BrokenPipe.into()),
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        }
    }
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= PIECE {
            self.pass()?;
        }
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        self.pass()
    }
}

impl Drop for Pieces {
    fn drop(&mut self) {
        // What a writer that ended well left; after a failure the stream is cut off anyway.
        let _ = self.pass();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn all_bytes_arrive_from_a_runtime_thread_and_from_a_blocking_one() {
        for blocking in [true, false] {
            let (send, mut receive) = mpsc::channel(1);
            let runtime = Handle::current();
            let mut out = Pieces { send, runtime, buffer: BytesMut::new() };
            let mut write = move || {
                for n in 0..3u8 {
                    out.write_all(&vec![n; PIECE]).unwrap();
                }
                out.write_all(b"end").unwrap();
            };
            let writer = if blocking {
                tokio::task::spawn_blocking(write)
            } else {
                crate::base::Tasks::new().spawn("test", async move { write() })
            };
            let mut total = 0;
            while let Some(piece) = receive.recv().await {
                total += piece.unwrap().len();
            }
            writer.await.unwrap();
            assert_eq!(total, 3 * PIECE + 3);
        }
    }
}
