//! Constant load: threads that ask again and again over connections they keep, and count what is not answered.
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;

use super::http::connect;
use super::until;

pub struct Load {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicU64>,
    threads: Vec<JoinHandle<Vec<String>>>,
}

impl Load {
    /// Every second thread makes a new connection for each request.
    pub fn start(port: u16, host: &str, threads: usize) -> Self {
        let (stop, answered) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let one = |n: usize| {
            let (stop, answered, host) = (stop.clone(), answered.clone(), host.to_owned());
            let keeps = n.is_multiple_of(2);
            std::thread::spawn(move || ask(port, &host, keeps, &stop, &answered))
        };
        let threads = (0..threads).map(one).collect();
        Self { stop, answered, threads }
    }

    /// Waits until some requests that begin from now on have been answered.
    pub fn until_more(&self) {
        let wanted = self.answered.load(Ordering::SeqCst) + 100;
        until("requests are answered", || (self.answered.load(Ordering::SeqCst) > wanted).then_some(()));
    }

    /// How many were answered, and what became of each that was not.
    pub fn end(self) -> (u64, Vec<String>) {
        self.stop.store(true, Ordering::SeqCst);
        let failed = self.threads.into_iter().flat_map(|thread| thread.join().expect("no panic")).collect();
        (self.answered.load(Ordering::SeqCst), failed)
    }
}

fn ask(port: u16, host: &str, keeps: bool, stop: &AtomicBool, answered: &AtomicU64) -> Vec<String> {
    let close = if keeps { "" } else { "connection: close\r\n" };
    let request = format!("GET / HTTP/1.1\r\nhost: {host}\r\n{close}\r\n");
    let (mut failed, mut kept): (_, Option<TcpStream>) = (vec![], None);
    while !stop.load(Ordering::SeqCst) {
        // A client that sees its connection closed before it asks takes another.
        let was_kept = kept.as_ref().is_some_and(is_open);
        let stream = match kept.take().filter(|_| was_kept) {
            Some(stream) => Ok(stream),
            None => connect(port),
        };
        match stream.and_then(|mut stream| exchange(&mut stream, &request).map(|head| (stream, head))) {
            Ok((stream, head)) if head.starts_with("HTTP/1.1 200") => {
                answered.fetch_add(1, Ordering::SeqCst);
                let last = head.to_ascii_lowercase().contains("connection: close");
                kept = (keeps && !last).then_some(stream);
            }
            Ok((_, head)) => failed.push(head),
            Err(error) => failed.push(format!("{error} (connection used before: {was_kept})")),
        }
    }
    failed
}

fn is_open(stream: &TcpStream) -> bool {
    stream.set_nonblocking(true).expect("a socket");
    let nothing = stream.peek(&mut [0]).is_err_and(|e| e.kind() == std::io::ErrorKind::WouldBlock);
    stream.set_nonblocking(false).expect("a socket");
    nothing
}

/// The head of the answer, once its body has come too.
fn exchange(stream: &mut TcpStream, request: &str) -> std::io::Result<String> {
    stream.write_all(request.as_bytes())?;
    let (mut bytes, mut buffer) = (vec![], [0; 4096]);
    loop {
        let read = stream.read(&mut buffer)?;
        if read == 0 {
            let so_far = super::text(&bytes);
            return Err(std::io::Error::other(format!("closed after {} bytes: {so_far}", bytes.len())));
        }
        bytes.extend_from_slice(&buffer[..read]);
        let Some(end) = bytes.windows(4).position(|w| w == b"\r\n\r\n") else { continue };
        let head = super::text(&bytes[..end]);
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok()).flatten()
        });
        if bytes.len() - end - 4 >= length.unwrap_or(0) {
            return Ok(head);
        }
    }
}
