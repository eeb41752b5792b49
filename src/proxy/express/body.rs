//! A response's body on its way from the app's framing to the client's. Pure.
use super::answer::Framing;
use super::buf::Buf;
use super::chunks::{self, Chunks, Wrong};

/// One body.
pub(super) enum Passing {
    Sized(u64),
    Chunked(Chunks),
    ToEnd { over: bool },
}

impl Passing {
    pub fn new(framing: Framing) -> Self {
        match framing {
            Framing::None => Self::Sized(0),
            Framing::Sized(length) => Self::Sized(length),
            Framing::Chunked => Self::Chunked(Chunks::default()),
            Framing::ToEnd => Self::ToEnd { over: false },
        }
    }

    /// Moves what came to what is sent; tells how many bytes of the body itself that was. What is behind the body stays.
    /// Errors: the rest has no form; what was good is moved.
    pub fn take(&mut self, from: &mut Buf, out: &mut Vec<u8>) -> Result<u64, Wrong> {
        let data = from.data();
        let mut moved = 0;
        let used = match self {
            Self::Sized(left) => {
                let now = usize::try_from(*left).unwrap_or(usize::MAX).min(data.len());
                out.extend_from_slice(&data[..now]);
                *left -= now as u64;
                moved = now as u64;
                now
            }
            Self::Chunked(chunks) => {
                let mut at = 0;
                loop {
                    let (piece, next) = chunks.next(data, at)?;
                    at = next;
                    let Some(piece) = piece else { break at };
                    moved += piece.len() as u64;
                    chunks::write(out, &data[piece]);
                }
            }
            Self::ToEnd { .. } => {
                chunks::write(out, data);
                moved = data.len() as u64;
                data.len()
            }
        };
        from.used(used);
        if self.is_over() && !matches!(self, Self::Sized(_)) {
            out.extend_from_slice(chunks::END);
        }
        Ok(moved)
    }

    /// The app closed the connection. False when the body is not whole.
    pub fn close(&mut self) -> bool {
        if let Self::ToEnd { over } = self {
            *over = true;
        }
        self.is_over()
    }

    /// What ends the body for the client before its time, where that can be said.
    pub fn end(&self) -> &'static [u8] {
        if matches!(self, Self::Sized(_)) { b"" } else { chunks::END }
    }

    pub fn is_over(&self) -> bool {
        match self {
            Self::Sized(left) => *left == 0,
            Self::Chunked(chunks) => chunks.is_done(),
            Self::ToEnd { over } => *over,
        }
    }
}
