//! One timer for all the limits of a connection. It is set seldom: as long as limits only move on, it rings once in a
//! while, and is set to what holds then.
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::time::{Instant, Sleep, sleep_until};

#[derive(Default)]
pub struct Alarm(Option<Pin<Box<Sleep>>>);

impl Alarm {
    /// Ready when `due` has passed; else the task is woken then, or earlier. Always asked by the same task.
    pub fn poll_due(&mut self, due: Instant, cx: &mut Context<'_>) -> Poll<()> {
        let Some(sleep) = &mut self.0 else {
            return self.0.insert(Box::pin(sleep_until(due))).as_mut().poll(cx);
        };
        if sleep.is_elapsed() || sleep.deadline() > due {
            sleep.as_mut().reset(due);
            return sleep.as_mut().poll(cx);
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use std::time::Duration;

    #[tokio::test]
    async fn it_rings_when_what_holds_now_is_due() {
        let mut alarm = Alarm::default();
        for (first, then) in [(50, 70), (150, 90), (60, 60)] {
            let start: Instant = crate::base::Clock::stopwatch().into();
            let at = |millis| start + Duration::from_millis(millis);
            let mut asked = 0;
            poll_fn(|cx| {
                asked += 1;
                alarm.poll_due(at(if asked == 1 { first } else { then }), cx)
            })
            .await;
            // Nobody else wakes this task, so an alarm that moved nearer is heard when the old one rings.
            assert!(start.elapsed() >= Duration::from_millis(then.min(first)), "{first} {then}");
        }
    }
}
