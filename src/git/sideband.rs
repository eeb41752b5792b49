//! Two voices in one stream: band 1 carries data, band 2 what git shows as `remote:` lines.
use std::io::{self, Write};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use super::pktline;
use crate::base::{Error, Progress, ProgressEvent, Result, ResultExt as _};

/// Data bytes of one packet at most: a packet less its length and its band.
const CHUNK: usize = pktline::LONGEST - 5;
/// Silence after which an empty packet is sent, so that no proxy thinks the connection dead.
const SILENCE: Duration = Duration::from_secs(5);
/// Lines waiting for a slow client; more are dropped, the deploy does not wait for a reader.
const WAITING: usize = 4096;
/// Longest line shown, in characters.
const LINE: usize = 1000;

/// Writes band 1, in packets as full as can be.
pub(super) struct DataBand<'a> {
    out: &'a mut dyn Write,
    buffer: Vec<u8>,
}

impl<'a> DataBand<'a> {
    pub(super) fn new(out: &'a mut dyn Write) -> Self {
        Self { out, buffer: Vec::with_capacity(CHUNK) }
    }

    /// Sends what is left and the flush packet that ends the stream.
    pub(super) fn finish(mut self) -> io::Result<()> {
        self.flush()?;
        pktline::flush(self.out)?;
        self.out.flush()
    }
}

impl Write for DataBand<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = (CHUNK - self.buffer.len()).min(bytes.len());
        self.buffer.extend_from_slice(&bytes[..n]);
        if self.buffer.len() == CHUNK {
            self.flush()?;
        }
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        if !self.buffer.is_empty() {
            band(self.out, 1, &self.buffer)?;
            self.buffer.clear();
        }
        Ok(())
    }
}

fn band(out: &mut dyn Write, number: u8, data: &[u8]) -> io::Result<()> {
    let mut packet = Vec::with_capacity(data.len() + 1);
    packet.push(number);
    packet.extend_from_slice(data);
    pktline::write(out, &packet)
}

enum Say {
    Line(String),
    /// The last thing: the report, then the end.
    Report(Vec<u8>),
    End,
}

/// Speaks to a pusher from a thread of its own, so that neither a slow client nor a silent deploy matters to
/// the other.
pub(super) struct Voice {
    say: SyncSender<Say>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl Voice {
    /// `bands` says whether the client understands bands; without them only the report is sent.
    pub(super) fn start(out: Box<dyn Write + Send>, bands: bool) -> Result<Self> {
        let (say, hear) = sync_channel(WAITING);
        let thread = std::thread::Builder::new().name("push-voice".to_owned()).spawn(move || speak(out, bands, &hear));
        Ok(Self { say, thread: Some(thread.internal("while answering a push")?) })
    }

    pub(super) fn progress(&self) -> Progress {
        let say = self.say.clone();
        Progress::new(move |event| {
            let text = match event {
                ProgressEvent::Stage { name } => format!("==> {name}"),
                ProgressEvent::Done { .. } => return,
                ProgressEvent::Line { text } => text,
            };
            for line in text.lines() {
                let _ = say.try_send(Say::Line(printable(line)));
            }
        })
    }

    /// Sends the report and waits until it is on its way. Errors: the client is gone.
    pub(super) fn finish(mut self, report: Vec<u8>) -> Result<()> {
        let gone = "the client went away before it heard the end";
        self.say.send(Say::Report(report)).internal(gone)?;
        let ended = self.thread.take().map(JoinHandle::join);
        match ended {
            Some(Ok(written)) => written.internal(gone),
            _ => Err(Error::internal("while answering a push")),
        }
    }
}

impl Drop for Voice {
    fn drop(&mut self) {
        if let Some(thread) = self.thread.take() {
            let _ = self.say.send(Say::End);
            let _ = thread.join();
        }
    }
}

fn speak(mut out: Box<dyn Write + Send>, bands: bool, hear: &Receiver<Say>) -> io::Result<()> {
    // A client that is gone is remembered, not acted on: what it asked for goes on to its end.
    let mut alive = Ok(());
    loop {
        let heard = hear.recv_timeout(SILENCE);
        let (data, last) = match heard {
            Ok(Say::Line(line)) => (Some((2, format!("{line}\n").into_bytes())), false),
            Err(RecvTimeoutError::Timeout) => (Some((2, Vec::new())), false),
            Ok(Say::Report(report)) => (Some((1, report)), true),
            Ok(Say::End) | Err(RecvTimeoutError::Disconnected) => (None, true),
        };
        if let (Ok(()), Some((number, data))) = (&alive, data) {
            alive = match (bands, number) {
                (true, 1) => {
                    let mut report = DataBand::new(&mut *out);
                    report.write_all(&data).and_then(|()| report.finish())
                }
                (true, _) => band(&mut *out, number, &data).and_then(|()| out.flush()),
                (false, 1) => out.write_all(&data).and_then(|()| out.flush()),
                (false, _) => Ok(()),
            };
        }
        if last {
            return alive;
        }
    }
}

/// What may reach a terminal: printable characters. Escape sequences are taken out whole.
pub(super) fn printable(line: &str) -> String {
    let mut out = String::new();
    let mut chars = line.chars().peekable();
    let mut count = 0;
    while let Some(c) = chars.next() {
        if c == '\x1b' && chars.peek() == Some(&'[') {
            chars.next();
            while chars.next().is_some_and(|c| !('@'..='~').contains(&c)) {}
        } else if c == '\t' {
            out.push_str("    ");
        } else if !c.is_control()
            && !matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
        {
            out.push(c);
            count += 1;
            if count == LINE {
                out.push('…');
                break;
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn escape_sequences_are_taken_out() {
        assert_eq!(printable("\x1b[31mred\x1b[0m \x1b]0;title\x07 \u{202e}evil\tx"), "red ]0;title evil    x");
        assert_eq!(printable(&"x".repeat(5000)).chars().count(), LINE + 1);
    }

    #[test]
    fn a_report_longer_than_a_packet_is_cut_into_packets() {
        let mut wire = Vec::new();
        let mut data = DataBand::new(&mut wire);
        data.write_all(&vec![b'x'; CHUNK * 2 + 1]).unwrap();
        data.finish().unwrap();
        let mut input = &wire[..];
        for size in [CHUNK, CHUNK, 1] {
            let packet = pktline::read(&mut input).unwrap();
            assert!(matches!(packet, pktline::Packet::Data(d) if d.len() == size + 1 && d[0] == 1));
        }
        assert_eq!(pktline::read(&mut input).unwrap(), pktline::Packet::Flush);
    }

    #[derive(Clone, Default)]
    struct Sink(std::sync::Arc<std::sync::Mutex<Vec<u8>>>);

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn silence_is_broken_and_lines_come_at_once() {
        let sink = Sink::default();
        let said = || String::from_utf8_lossy(&sink.0.lock().unwrap()).into_owned();
        let until = |what: &str| {
            let tries = (0..3000).find(|_| {
                std::thread::sleep(Duration::from_millis(20));
                said().contains(what)
            });
            assert!(tries.is_some(), "{what:?} was never said");
        };
        let voice = Voice::start(Box::new(sink.clone()), true).unwrap();
        voice.progress().line("first\nsecond");
        until("000b\x02first\n000c\x02second\n");
        until("0005\x02");
        let late = voice.progress();
        voice.finish(b"0000".to_vec()).unwrap();
        late.line("nobody hears this, and nobody fails");
        assert!(said().ends_with("0009\x0100000000"));
    }

    proptest! {
        #[test]
        fn nothing_but_printable_characters(line in ".{0,80}") {
            prop_assert!(!printable(&line).chars().any(char::is_control));
        }
    }
}
