//! One request on its way to the app, and the response back.
use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, timeout_at};

use super::answer::{self, Answer, Framing, Heard};
use super::body::Passing;
use super::buf::{Buf, Sheet};
use super::work::Work;
use super::{After, Lane, now};
use crate::base::Error;
use crate::proxy::forward::{self, Failure};
use crate::runner::link::Link;
use crate::runner::upstream::{closed, unanswered};

/// Why there is no response.
enum Fault {
    /// Nobody waits for one.
    Left,
    /// The connection ended before anything was sent on it.
    Unsent(Error),
    /// It ended, or went wrong, before a whole head came.
    Unanswered(Error),
    /// What visitors are told.
    Failed(Failure),
}

/// A whole response head, and whatever came with it.
struct Met {
    link: Link,
    answer: Answer,
    /// Behind the head.
    rest: Buf,
    /// The client's connection ends with this.
    last: bool,
}

/// How waiting ended without what was waited for.
enum Waited {
    ClientLeft,
    /// The server ends, and the response has no end of its own.
    Closing,
    TooLong,
}

/// Bytes of heads that an app may send in all: as many as the client of the other lane reads.
const MOST_HEAD: usize = 400 << 10;

impl<T, S> Lane<'_, T, S>
where
    T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    pub(super) async fn exchange(&mut self, mut work: Work) -> After {
        let mut out = Sheet::take();
        let failure = match self.response(&mut work, &mut out).await {
            Ok(met) => return self.pass(work, met, out).await,
            Err(Fault::Left) => return After::Gone,
            Err(Fault::Failed(failure)) => failure,
            Err(Fault::Unsent(error) | Fault::Unanswered(error)) => Failure::new("app", error),
        };
        self.page(work, failure).await
    }

    /// Sends the request, and again where that harms nobody, until there is a response head. Its form for the client is
    /// then in `out`.
    async fn response(&mut self, work: &mut Work, out: &mut Vec<u8>) -> Result<Met, Fault> {
        let limit = self.proxy.limits().head_timeout;
        let due = now() + limit;
        let late = |_| Fault::Failed(forward::silent(limit));
        let mut left = false;
        if let Some(link) = work.upstream.kept() {
            match self.attempt(link, work, due, out).await {
                Err(Fault::Unsent(_)) => {}
                Err(Fault::Unanswered(_)) if work.again => left = true,
                done => return done,
            }
        }
        let error = match timeout_at(due, work.upstream.dial()).await.map_err(late)? {
            Ok(link) => match self.attempt(link, work, due, out).await {
                // What left once may be what killed the child: the next child is spared.
                Err(Fault::Unsent(error)) if !left => error,
                done => return done,
            },
            Err(error) if left => return Err(Fault::Unsent(error)),
            Err(error) => error,
        };
        match timeout_at(due, work.upstream.elsewhere()).await.map_err(late)? {
            Some(upstream) => work.upstream = upstream,
            None => return Err(Fault::Unsent(error)),
        }
        let link = timeout_at(due, work.upstream.dial()).await.map_err(late)?.map_err(Fault::Unsent)?;
        self.attempt(link, work, due, out).await
    }

    /// Asks once, on this connection.
    async fn attempt(
        &mut self,
        mut link: Link,
        work: &mut Work,
        due: Instant,
        out: &mut Vec<u8>,
    ) -> Result<Met, Fault> {
        let mut sent = 0;
        poll_fn(|cx| {
            while sent < work.request.len() {
                match Pin::new(&mut link).poll_write(cx, &work.request[sent..]) {
                    Poll::Ready(Ok(n)) if n > 0 => sent += n,
                    Poll::Ready(Err(error)) if sent == 0 => return Poll::Ready(Err(Fault::Unsent(closed(error)))),
                    // It may have answered before it closed.
                    Poll::Ready(_) => break,
                    Poll::Pending => return self.poll_waiting(due, cx).map(|why| Err(self.fault(&why))),
                }
            }
            Poll::Ready(Ok(()))
        })
        .await?;
        let (mut rest, mut heads) = (Buf::default(), 0);
        loop {
            let came = poll_fn(|cx| match rest.poll_fill(&mut link, cx) {
                Poll::Ready(read) => Poll::Ready(Ok(read)),
                Poll::Pending => self.poll_waiting(due, cx).map(|why| Err(self.fault(&why))),
            });
            match came.await? {
                Ok(0) => return Err(unheard(ErrorKind::UnexpectedEof.into())),
                Ok(_) => {}
                Err(error) => return Err(unheard(error)),
            }
            // Asked when the answer is there: the server may have begun to end while the app was at it.
            let last = work.last || self.closing.is_cancelled();
            if let Some(answer) = self.heard(work, last, &mut rest, &mut heads, out)? {
                return Ok(Met { link, answer, rest, last });
            }
        }
    }

    /// Reads a head in what came. `None` while there is none.
    fn heard(
        &mut self,
        work: &Work,
        last: bool,
        rest: &mut Buf,
        heads: &mut usize,
        out: &mut Vec<u8>,
    ) -> Result<Option<Answer>, Fault> {
        let parent = self.host.parent.as_deref();
        let date = self.date.at(work.at);
        let says = &self.host.says;
        let context = answer::Context { is_head: work.is_head, request_id: &work.id, parent, date, says, last };
        loop {
            match answer::read(rest.data(), &context, out) {
                Heard::Part if rest.data().len() <= MOST_HEAD => return Ok(None),
                Heard::Part | Heard::Nothing => return Err(unheard(ErrorKind::InvalidData.into())),
                Heard::Interim { head } => {
                    *heads += head;
                    rest.used(head);
                }
                Heard::Refused(error) => return Err(Fault::Failed(Failure::new("response head", error))),
                Heard::Unasked => return Err(Fault::Failed(forward::unasked())),
                Heard::Head(answer) => {
                    rest.used(answer.head);
                    return Ok(Some(answer));
                }
            }
        }
    }

    /// Sends the client what is in `out`, and the body as it comes.
    async fn pass(&mut self, mut work: Work, met: Met, mut out: Sheet) -> After {
        let Met { mut link, answer, mut rest, last } = met;
        work.journal.answered(answer.status);
        if let Some(key) = work.key().filter(|_| answer.cookies_dropped > 0) {
            self.proxy.remark_cookie(key, &work.upstream.version);
        }
        let mut body = Passing::new(answer.framing);
        loop {
            let moved = body.take(&mut rest, &mut out);
            if self.send(&out).await.is_err() {
                return After::Gone;
            }
            out.clear();
            let Ok(moved) = moved else { return cut(work, "response body") };
            work.journal.sent(moved);
            if body.is_over() {
                break;
            }
            let due = now() + self.proxy.limits().idle_timeout;
            let came = poll_fn(|cx| match rest.poll_fill(&mut link, cx) {
                Poll::Ready(read) => Poll::Ready(Ok(read)),
                Poll::Pending if answer.events && self.poll_closing(cx).is_ready() => Poll::Ready(Err(Waited::Closing)),
                Poll::Pending => self.poll_waiting(due, cx).map(Err),
            });
            match came.await {
                Ok(Ok(0)) if body.close() => {}
                Ok(Ok(0) | Err(_)) => return cut(work, "response body"),
                Ok(Ok(_)) => {}
                Err(Waited::ClientLeft) => return After::Gone,
                // Readers of events come back by themselves.
                Err(Waited::Closing) => {
                    let _ = self.send(body.end()).await;
                    work.journal.ended(None);
                    return After::Close;
                }
                Err(Waited::TooLong) => return cut(work, "response body: idle"),
            }
        }
        if answer.keep && rest.is_empty() && answer.framing != Framing::ToEnd {
            work.upstream.keep(link);
        }
        work.journal.ended(None);
        if last { After::Close } else { After::Next }
    }

    /// While the app is waited for: whether that is still worth it.
    fn poll_waiting(&mut self, due: Instant, cx: &mut Context<'_>) -> Poll<Waited> {
        // What the client sends now is its next request; that it closes is only seen where there is none.
        if self.input.is_empty()
            && let Poll::Ready(Ok(0) | Err(_)) = self.input.poll_fill(&mut self.socket, cx)
        {
            return Poll::Ready(Waited::ClientLeft);
        }
        self.alarm.poll_due(due, cx).map(|()| Waited::TooLong)
    }

    fn fault(&self, why: &Waited) -> Fault {
        match why {
            Waited::ClientLeft => Fault::Left,
            Waited::TooLong | Waited::Closing => Fault::Failed(forward::silent(self.proxy.limits().head_timeout)),
        }
    }

    /// Writes all of it to the client, who may not stop taking it.
    pub(super) async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        let (mut sent, mut due) = (0, None);
        poll_fn(|cx| {
            loop {
                let written = if sent < bytes.len() {
                    Pin::new(&mut self.socket).poll_write(cx, &bytes[sent..])
                } else {
                    Pin::new(&mut self.socket).poll_flush(cx).map_ok(|()| 0)
                };
                match written {
                    Poll::Ready(Ok(0)) if sent < bytes.len() => return Poll::Ready(Err(ErrorKind::WriteZero.into())),
                    Poll::Ready(Ok(0)) => return Poll::Ready(Ok(())),
                    Poll::Ready(Ok(n)) => {
                        sent += n;
                        due = None;
                    }
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                    Poll::Pending => {
                        let due = *due.get_or_insert_with(|| now() + self.limits.write_timeout);
                        ready!(self.alarm.poll_due(due, cx));
                        return Poll::Ready(Err(ErrorKind::TimedOut.into()));
                    }
                }
            }
        })
        .await
    }
}

fn unheard(cause: io::Error) -> Fault {
    Fault::Unanswered(unanswered("response head", cause))
}

/// The client sees that the body is not whole by the end of its connection.
fn cut(mut work: Work, error: &str) -> After {
    work.journal.ended(Some(error));
    After::Close
}
