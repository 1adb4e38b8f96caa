//! A proxy in front of a real registry that remembers each request and gets in its way as told. It
//! can ask for tokens, which it also gives out.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

#[derive(Debug, Clone)]
pub struct Request {
    pub method: String,
    pub path: String,
    pub authorization: String,
    pub range: String,
}

impl Request {
    /// Whether it asks for the content of a blob.
    pub fn reads_blob(&self) -> bool {
        self.method == "GET" && self.path.contains("/blobs/sha256:")
    }
}

#[derive(Debug, Clone)]
pub enum Fault {
    None,
    /// An answer of the proxy's own, with one header.
    Status(u16, &'static str),
    /// An answer of the proxy's own, with these headers and a gigabyte of spaces.
    Flood(u16, String),
    /// An answer of the proxy's own, with these headers and this body.
    Answer(String, Arc<Vec<u8>>),
    /// The answer has one more header.
    Header(&'static str),
    /// So many bytes of the answer's body, and then nothing.
    CutAnswer(usize),
    /// One byte of the answer's body is another.
    Corrupt,
    /// The answer's body comes in pieces of 64 kB with pauses.
    Slow(Duration),
    /// No answer.
    HangUp,
    /// So many bytes of the request's body arrive at the registry, and then nothing.
    CutRequest(usize),
}

pub struct Proxy {
    pub port: u16,
    requests: Arc<Mutex<Vec<Request>>>,
}

struct Way {
    upstream: u16,
    own: u16,
    /// Base64 of user and password, if tokens are asked for.
    password: Option<String>,
    requests: Arc<Mutex<Vec<Request>>>,
}

/// First byte of a connection that begins with TLS.
const TLS_HANDSHAKE: [u8; 1] = [0x16];
const TOKEN: &str = "a-token";
const GIGABYTE: usize = 1 << 30;

impl Proxy {
    /// `fault` is told how many requests came before.
    pub fn start(
        upstream: u16,
        fault: impl Fn(usize, &Request) -> Fault + Send + Sync + 'static,
    ) -> Self {
        Self::serve(upstream, None, fault)
    }

    pub fn with_tokens(
        upstream: u16,
        password: &str,
        fault: impl Fn(usize, &Request) -> Fault + Send + Sync + 'static,
    ) -> Self {
        Self::serve(upstream, Some(password.to_owned()), fault)
    }

    fn serve(
        upstream: u16,
        password: Option<String>,
        fault: impl Fn(usize, &Request) -> Fault + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let own = listener.local_addr().unwrap().port();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let way = Arc::new(Way { upstream, own, password, requests: requests.clone() });
        let fault = Arc::new(fault);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (way, fault) = (way.clone(), fault.clone());
                // A connection that breaks is what is being tested.
                thread::spawn(move || drop(way.pass(stream, &*fault)));
            }
        });
        Self { port: own, requests }
    }

    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }

    pub fn place(&self, name: &str) -> String {
        format!("127.0.0.1:{}/{name}", self.port)
    }
}

impl Way {
    fn pass(
        &self,
        mut client: TcpStream,
        fault: &dyn Fn(usize, &Request) -> Fault,
    ) -> std::io::Result<()> {
        let mut first = [0];
        client.peek(&mut first)?;
        if first == TLS_HANDSHAKE {
            return client.write_all(&plain(400, "X: y", "this is no TLS"));
        }
        let head = read_head(&mut client)?;
        let request = parse(&head);
        let before = {
            let mut requests = self.requests.lock().unwrap();
            requests.push(request.clone());
            requests.len() - 1
        };
        let length = field(&head, "content-length").parse().unwrap_or(0);
        if let Some(answer) = self.token_answer(&request) {
            std::io::copy(&mut (&client).take(length), &mut std::io::sink())?;
            return client.write_all(&answer);
        }
        let fault = fault(before, &request);
        if let Fault::Status(status, header) = fault {
            std::io::copy(&mut (&client).take(length), &mut std::io::sink())?;
            return client.write_all(&plain(status, header, ""));
        }
        match &fault {
            Fault::Flood(status, headers) => return flood(&mut client, *status, headers),
            Fault::Answer(headers, body) => {
                client.write_all(&start_of_answer(200, headers))?;
                return client.write_all(body);
            }
            _ => {}
        }
        if matches!(fault, Fault::HangUp) {
            return client.shutdown(Shutdown::Both);
        }
        let mut upstream = TcpStream::connect(("127.0.0.1", self.upstream))?;
        upstream.write_all(&closing(&head))?;
        let passed = match fault {
            Fault::CutRequest(most) => length.min(most as u64),
            _ => length,
        };
        std::io::copy(&mut (&client).take(passed), &mut upstream)?;
        if passed < length {
            // Let the registry see what came, then the end.
            upstream.shutdown(Shutdown::Both)?;
            return client.shutdown(Shutdown::Both);
        }
        let mut answer = Vec::new();
        upstream.read_to_end(&mut answer)?;
        send(&mut client, answer, &fault)
    }

    /// What the proxy says itself where it asks for tokens.
    fn token_answer(&self, request: &Request) -> Option<Vec<u8>> {
        let password = self.password.as_ref()?;
        if request.path.starts_with("/token?") {
            let right = request.authorization == format!("Basic {password}");
            return Some(match right {
                true => plain(200, "X: y", &format!(r#"{{"token":"{TOKEN}","expires_in":300}}"#)),
                false => plain(401, "X: y", ""),
            });
        }
        let realm = format!("http://127.0.0.1:{}/token", self.own);
        let header = format!("WWW-Authenticate: Bearer realm=\"{realm}\",service=\"test\"");
        let known = request.authorization == format!("Bearer {TOKEN}");
        (!known).then(|| plain(401, &header, ""))
    }
}

fn send(client: &mut TcpStream, mut answer: Vec<u8>, fault: &Fault) -> std::io::Result<()> {
    let body = answer.windows(4).position(|w| w == b"\r\n\r\n").map_or(answer.len(), |at| at + 4);
    match fault {
        Fault::CutAnswer(most) => answer.truncate(body + most),
        Fault::Header(line) => {
            drop(answer.splice(body - 2..body - 2, format!("{line}\r\n").into_bytes()))
        }
        Fault::Corrupt => {
            let middle = body + (answer.len() - body) / 2;
            if let Some(byte) = answer.get_mut(middle) {
                *byte ^= 1;
            }
        }
        Fault::Slow(pause) => {
            client.write_all(&answer[..body])?;
            for piece in answer[body..].chunks(64 * 1024) {
                thread::sleep(*pause);
                client.write_all(piece)?;
            }
            return Ok(());
        }
        _ => {}
    }
    client.write_all(&answer)
}

fn flood(client: &mut TcpStream, status: u16, headers: &str) -> std::io::Result<()> {
    client.write_all(&start_of_answer(status, headers))?;
    let mut piece = vec![b' '; 64 * 1024];
    if headers.contains("chunked") {
        piece = [b"10000\r\n", &piece[..], b"\r\n"].concat();
    }
    (0..GIGABYTE / (64 * 1024)).try_for_each(|_| client.write_all(&piece))
}

fn plain(status: u16, header: &str, body: &str) -> Vec<u8> {
    let headers = format!("Content-Length: {}\r\n{header}", body.len());
    [&start_of_answer(status, &headers), body.as_bytes()].concat()
}

fn start_of_answer(status: u16, headers: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status} x\r\n{headers}\r\nConnection: close\r\n\r\n").into_bytes()
}

fn read_head(client: &mut TcpStream) -> std::io::Result<String> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        client.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}

fn field(head: &str, name: &str) -> String {
    let lines = head.lines().filter_map(|line| line.split_once(": "));
    let mut values = lines.filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.to_owned());
    values.next().unwrap_or_default()
}

fn parse(head: &str) -> Request {
    let mut words = head.split_whitespace();
    let mut word = || words.next().unwrap_or_default().to_owned();
    let (method, path) = (word(), word());
    let (authorization, range) = (field(head, "authorization"), field(head, "range"));
    Request { method, path, authorization, range }
}

/// The head with the wish that the registry closes the connection after its answer.
fn closing(head: &str) -> Vec<u8> {
    let kept =
        head.trim_end().lines().filter(|line| !line.to_lowercase().starts_with("connection:"));
    let mut head = kept.collect::<Vec<_>>().join("\r\n");
    head.push_str("\r\nConnection: close\r\n\r\n");
    head.into_bytes()
}
