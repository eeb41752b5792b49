//! The express lane: plain requests of HTTP/1.1 to an app that is awake, copied through on one thread with as few
//! steps as there can be. It refuses nothing and knows nothing special. What is not plain, it leaves with all bytes to
//! the lane that knows everything, and the rules of both are the same functions.
mod alarm;
mod answer;
mod ask;
mod body;
mod buf;
mod chunks;
mod exchange;
mod page;
mod work;

use std::future::poll_fn;
use std::net::IpAddr;
use std::ops::Range;
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::HeaderMap;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use super::Proxy;
use crate::base::{Clock, Millis, Tasks};
use crate::http::serve::{Limits, Rest, linger};
use alarm::Alarm;
use buf::Buf;
use work::Begun;

impl Proxy {
    /// Answers a connection's requests as long as they are plain. What is left is the socket and what was read of it,
    /// when something else came; `None` when the connection is over. `site` says what a host name means.
    pub async fn express<T, S>(
        &self,
        socket: T,
        peer: IpAddr,
        limits: Limits,
        closing: &CancellationToken,
        tasks: &Tasks,
        site: S,
    ) -> Option<Rest<T>>
    where
        T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
        S: Fn(&str) -> Option<Named>,
    {
        let mut lane = Lane {
            proxy: self,
            socket,
            peer,
            limits,
            closing,
            closed: None,
            site,
            host: Host::default(),
            input: Buf::default(),
            alarm: Alarm::default(),
            date: Date::default(),
            begun: false,
        };
        match lane.run().await {
            After::Other => Some(Rest { seen: lane.input.data().to_vec(), begun: lane.begun, socket: lane.socket }),
            After::Close => {
                tasks.spawn_here("linger", linger(lane.socket));
                None
            }
            After::Gone | After::Next => None,
        }
    }
}

/// What a host name means on a connection.
pub struct Named {
    /// An app's.
    pub label: String,
    /// What each response says beside the app's own fields.
    pub fields: HeaderMap,
}

/// Reads of a head's beginning before the other lane has the patience for it.
const PARTS: usize = 8;

struct Lane<'a, T, S> {
    proxy: &'a Proxy,
    socket: T,
    peer: IpAddr,
    limits: Limits,
    closing: &'a CancellationToken,
    /// Wakes this task when the server is to end.
    closed: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
    site: S,
    host: Host,
    /// Read from the client and not used yet.
    input: Buf,
    alarm: Alarm,
    date: Date,
    /// A request was answered.
    begun: bool,
}

/// What the last request's host means; the next one's is mostly the same.
#[derive(Default)]
struct Host {
    text: String,
    label: String,
    /// What stands after the label.
    parent: Option<String>,
    /// The fields that tell the app of it, as they are sent.
    told: Vec<u8>,
    /// The same for the client: of [`Named::fields`].
    says: Vec<u8>,
}

/// The time as HTTP writes it.
#[derive(Default)]
struct Date {
    second: Millis,
    text: String,
}

impl Date {
    fn at(&mut self, now: Millis) -> &str {
        let second = now / 1000;
        if second != self.second || self.text.is_empty() {
            let since = std::time::Duration::from_secs(second.max(0).unsigned_abs());
            *self = Self { second, text: httpdate::fmt_http_date(std::time::UNIX_EPOCH + since) };
        }
        &self.text
    }
}

/// What becomes of a client's connection.
enum After {
    /// It goes on.
    Next,
    /// It goes on in the other lane.
    Other,
    /// It is closed, and what was sent should arrive.
    Close,
    /// There is nobody any more.
    Gone,
}

/// Places of names and values, whose room goes round.
type Fields = Vec<(Range<usize>, Range<usize>)>;

fn now() -> Instant {
    Clock::stopwatch().into()
}

impl<T, S> Lane<'_, T, S>
where
    T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    S: Fn(&str) -> Option<Named>,
{
    async fn run(&mut self) -> After {
        let (mut due, mut parts) = (now() + self.limits.head_timeout, 0);
        loop {
            match self.begin() {
                Begun::Other => return After::Other,
                Begun::Part if parts == PARTS => return After::Other,
                Begun::Part => {
                    parts += 1;
                    match poll_fn(|cx| self.poll_more(due, cx)).await {
                        After::Next => {}
                        after => return after,
                    }
                }
                Begun::Work(work) => {
                    self.begun = true;
                    match self.exchange(work).await {
                        After::Next => {}
                        after => return after,
                    }
                    (due, parts) = (now() + self.limits.head_timeout, 0);
                }
            }
        }
    }

    /// More of the next head.
    fn poll_more(&mut self, due: Instant, cx: &mut Context<'_>) -> Poll<After> {
        match self.input.poll_fill(&mut self.socket, cx) {
            Poll::Ready(Ok(0)) if self.input.is_empty() => return Poll::Ready(After::Gone),
            // Half a request: the other lane knows what to say.
            Poll::Ready(Ok(0)) => return Poll::Ready(After::Other),
            Poll::Ready(Ok(_)) => return Poll::Ready(After::Next),
            Poll::Ready(Err(_)) => return Poll::Ready(After::Gone),
            Poll::Pending => {}
        }
        if self.poll_closing(cx).is_ready() {
            // The other lane knows how to take leave.
            return Poll::Ready(After::Other);
        }
        self.alarm.poll_due(due, cx).map(|()| After::Close)
    }
}

impl<T, S> Lane<'_, T, S> {
    /// Ready when the server is to end; else this task is woken then.
    fn poll_closing(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.closing.is_cancelled() {
            return Poll::Ready(());
        }
        if self.closed.is_some() {
            return Poll::Pending; // it knows this task already
        }
        let closing = self.closing.clone();
        self.closed.insert(Box::pin(closing.cancelled_owned())).as_mut().poll(cx)
    }
}
