//! The plainest HTTP client there is, the same for both sides.
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;

const ASK: &[u8] = b"GET / HTTP/1.1\r\nhost: app.localhost\r\n\r\n";
/// How often a peer's socket is tried while it boots.
const POLL: Duration = Duration::from_micros(500);

/// Asks once and waits for the end of a small answer.
pub async fn ask(stream: &mut UnixStream) -> io::Result<()> {
    stream.write_all(ASK).await?;
    let mut buffer = [0u8; 1024];
    let mut length = 0;
    while !buffer[..length].ends_with(b"hello") {
        match stream.read(&mut buffer[length..]).await? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => length += read,
        }
    }
    Ok(())
}

/// Tries until something answers at the socket.
pub async fn answered(socket: &Path) {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        if let Ok(mut stream) = UnixStream::connect(socket).await
            && ask(&mut stream).await.is_ok()
        {
            return;
        }
        assert!(Instant::now() < deadline, "nothing answers at {}", socket.display());
        tokio::time::sleep(POLL).await;
    }
}

/// Requests answered on `connections` kept open, for so long.
pub async fn load(socket: &Path, connections: usize, time: Duration) -> u64 {
    let until = Instant::now() + time;
    let each = (0..connections).map(|_| {
        let socket = socket.to_owned();
        tokio::spawn(async move {
            let mut stream = UnixStream::connect(socket).await.expect("a connection");
            let mut count = 0u64;
            while Instant::now() < until {
                ask(&mut stream).await.expect("an answer");
                count += 1;
            }
            count
        })
    });
    let mut total = 0;
    for task in each.collect::<Vec<_>>() {
        total += task.await.expect("the client");
    }
    total
}
