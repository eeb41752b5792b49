//! Bytes between an app and what it connected to, both ways, until both are done. A reset on one side is
//! a reset on the other.
use std::io;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncWriteExt as _, Interest};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};

use super::budget::Budget;
use super::usage::Counters;

/// Bytes moved at once, while there are large buffers; and when there are none.
const LARGE: usize = 128 << 10;
const SMALL: usize = 8 << 10;
/// Large buffers of all apps together.
const LARGE_ONES: usize = 128;

/// Memory for bytes under way. A connection has a buffer only while bytes move, so that thousands of
/// silent ones cost none; who stalls with one in hand leaves small ones to the others.
pub struct Buffers {
    spare: Mutex<Vec<Box<[u8]>>>,
    /// Large ones that may still be made.
    left: AtomicU64,
}

impl Default for Buffers {
    fn default() -> Self {
        Self { spare: Mutex::default(), left: AtomicU64::new(LARGE_ONES as u64) }
    }
}

impl Buffers {
    fn take(self: &Arc<Self>) -> Buffer {
        let spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let bytes = spare.unwrap_or_else(|| {
            let large = self.left.try_update(Relaxed, Relaxed, |left| left.checked_sub(1)).is_ok();
            vec![0; if large { LARGE } else { SMALL }].into()
        });
        Buffer { bytes, home: Arc::clone(self) }
    }
}

struct Buffer {
    bytes: Box<[u8]>,
    home: Arc<Buffers>,
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if self.bytes.len() == LARGE {
            let bytes = std::mem::take(&mut self.bytes);
            self.home.spare.lock().unwrap_or_else(PoisonError::into_inner).push(bytes);
        }
    }
}

/// What bounds one relay.
pub struct Bounds {
    /// How long both sides may be silent; up to twice that.
    pub idle: Duration,
    /// Bytes of the app, both ways; beyond them every connection is reset.
    pub budget: Arc<Budget>,
}

/// Copies until both sides have ended, or one fails, is silent too long, or the app has used its bytes:
/// then both are reset.
pub async fn relay(mut app: TcpStream, mut out: TcpStream, buffers: &Arc<Buffers>, count: &Counters, bounds: &Bounds) {
    // Small writes of either side are its own decision; here they must not wait for each other.
    let _ = app.set_nodelay(true);
    let _ = out.set_nodelay(true);
    let moved = AtomicU64::new(0);
    let done = {
        let (app_read, app_write) = app.split();
        let (out_read, out_write) = out.split();
        let spend = |counter: &AtomicU64, n: usize| {
            counter.fetch_add(n as u64, Relaxed);
            moved.fetch_add(n as u64, Relaxed);
            bounds.budget.spend(n)
        };
        let up = pump(app_read, out_write, buffers, |n| spend(&count.bytes_out, n));
        let down = pump(out_read, app_write, buffers, |n| spend(&count.bytes_in, n));
        let both = async { tokio::try_join!(up, down).map(drop) };
        tokio::select! {
            done = both => done,
            () = silence(&moved, bounds.idle) => Err(io::ErrorKind::TimedOut.into()),
        }
    };
    if done.is_err() {
        reset(app);
        reset(out);
    }
}

/// Closes so that the other side sees a reset and not an orderly end.
pub fn reset(stream: TcpStream) {
    let _ = stream.set_zero_linger();
}

/// One direction, to its end; then the end is passed on.
async fn pump(
    from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    buffers: &Arc<Buffers>,
    spend: impl Fn(usize) -> bool,
) -> io::Result<()> {
    loop {
        from.ready(Interest::READABLE).await?;
        let mut buffer = buffers.take();
        loop {
            match from.try_read(&mut buffer.bytes) {
                Ok(0) => return to.shutdown().await,
                Ok(n) => {
                    if !spend(n) {
                        return Err(io::ErrorKind::QuotaExceeded.into());
                    }
                    to.write_all(&buffer.bytes[..n]).await?;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
            // A fast pair must not keep its thread for itself.
            tokio::task::consume_budget().await;
        }
    }
}

/// Ends when nothing moved for a whole period.
async fn silence(moved: &AtomicU64, period: Duration) {
    let mut before = moved.load(Relaxed);
    loop {
        tokio::time::sleep(period).await;
        let now = moved.load(Relaxed);
        if now == before {
            return;
        }
        before = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncReadExt as _;
    use tokio::net::TcpListener;

    const HOUR: Duration = Duration::from_secs(3600);

    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
        let one = TcpStream::connect(listener.local_addr().expect("its address")).await.expect("connected");
        (one, listener.accept().await.expect("accepted").0)
    }

    /// App and upstream, with a relay between them.
    async fn linked(bounds: Bounds) -> (TcpStream, TcpStream, Arc<Counters>, impl Future<Output = ()>) {
        let (app, inner) = pair().await;
        let (outer, upstream) = pair().await;
        let count = Arc::new(Counters::default());
        let counters = Arc::clone(&count);
        let work = async move { relay(inner, outer, &Arc::default(), &counters, &bounds).await };
        (app, upstream, count, work)
    }

    fn budget(most: u64) -> Arc<Budget> {
        let budget = Budget::new(crate::base::Clock::System);
        budget.limit(most);
        Arc::new(budget)
    }

    #[tokio::test]
    async fn bytes_go_both_ways_and_an_end_is_passed_on() {
        let (mut app, mut upstream, count, work) = linked(Bounds { idle: HOUR, budget: budget(0) }).await;
        let talk = async move {
            app.write_all(b"question").await.expect("written");
            app.shutdown().await.expect("ended");
            let mut asked = String::new();
            upstream.read_to_string(&mut asked).await.expect("read to the end");
            assert_eq!(asked, "question");
            let answer = vec![7u8; 3 << 20];
            let (written, read) = tokio::join!(
                async {
                    upstream.write_all(&answer).await.expect("written");
                    drop(upstream);
                },
                async {
                    let mut got = Vec::new();
                    app.read_to_end(&mut got).await.expect("read to the end");
                    got
                }
            );
            let () = written;
            assert!(read == answer);
        };
        tokio::join!(work, talk);
        let usage = count.usage(0);
        assert_eq!((usage.bytes_in, usage.bytes_out), (3 << 20, 8));
    }

    #[tokio::test]
    async fn a_reset_is_passed_on() {
        let (mut app, upstream, _, work) = linked(Bounds { idle: HOUR, budget: budget(0) }).await;
        reset(upstream);
        let (error, ()) = tokio::join!(async { app.read_u8().await.expect_err("a reset") }, work);
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    }

    #[tokio::test]
    async fn too_many_bytes_and_too_long_a_silence_end_in_a_reset() {
        let (mut app, mut upstream, _, work) = linked(Bounds { idle: HOUR, budget: budget(10) }).await;
        app.write_all(b"more than ten").await.expect("written");
        let (error, ()) = tokio::join!(async { upstream.read_u8().await.expect_err("a reset") }, work);
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        let idle = Duration::from_millis(20);
        let (mut app, _upstream, _, work) = linked(Bounds { idle, budget: budget(0) }).await;
        let (error, ()) = tokio::join!(async { app.read_u8().await.expect_err("a reset") }, work);
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    }

    #[test]
    fn large_buffers_are_bounded_and_used_again() {
        let buffers = Arc::new(Buffers::default());
        for _ in 0..3 {
            let taken: Vec<_> = (0..LARGE_ONES + 5).map(|_| buffers.take()).collect();
            assert_eq!(taken.iter().filter(|b| b.bytes.len() == LARGE).count(), LARGE_ONES);
            assert_eq!(taken.iter().filter(|b| b.bytes.len() == SMALL).count(), 5);
        }
    }
}
