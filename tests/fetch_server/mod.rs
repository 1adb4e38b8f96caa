//! A small HTTP server for tests: each request is answered by a closure and remembered.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    pub method: String,
    pub path: String,
    /// First byte asked for, from `Range: bytes=N-`.
    pub from: Option<usize>,
    pub accept: String,
    pub authorization: String,
}

#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub content_type: &'static str,
    pub headers: Vec<String>,
    pub body: Vec<u8>,
    /// Close the connection after this many bytes of the body.
    pub cut: Option<usize>,
}

impl Answer {
    pub fn ok(body: impl Into<Vec<u8>>) -> Self {
        Self {
            status: 200,
            content_type: "application/octet-stream",
            headers: vec![],
            body: body.into(),
            cut: None,
        }
    }

    pub fn status(status: u16) -> Self {
        Self { status, ..Self::ok("") }
    }

    /// What a server that knows ranges says.
    pub fn range(content: &[u8], request: &Request) -> Self {
        let Some(from) = request.from else { return Self::ok(content) };
        let range = format!("Content-Range: bytes {from}-{}/{}", content.len() - 1, content.len());
        Self { status: 206, headers: vec![range], ..Self::ok(&content[from..]) }
    }
}

pub struct Server {
    pub url: String,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    /// Serves until the process ends. `answer` is told how many requests came before.
    pub fn start(answer: impl Fn(usize, &Request) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (seen, answer) = (requests.clone(), Arc::new(answer));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (seen, answer) = (seen.clone(), answer.clone());
                thread::spawn(move || serve(stream, &seen, &*answer));
            }
        });
        Self { url, requests }
    }

    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}

fn serve(
    mut stream: TcpStream,
    seen: &Mutex<Vec<Request>>,
    answer: &dyn Fn(usize, &Request) -> Answer,
) {
    let Some(request) = read_request(&stream) else { return };
    let before = {
        let mut seen = seen.lock().unwrap();
        seen.push(request.clone());
        seen.len() - 1
    };
    let answer = answer(before, &request);
    let mut head = format!(
        "HTTP/1.1 {} x\r\nContent-Length: {}\r\nContent-Type: {}\r\nConnection: close\r\n",
        answer.status,
        answer.body.len(),
        answer.content_type
    );
    for header in &answer.headers {
        head.push_str(header);
        head.push_str("\r\n");
    }
    head.push_str("\r\n");
    let _ = stream.write_all(head.as_bytes());
    if request.method != "HEAD" {
        let _ = stream.write_all(&answer.body[..answer.cut.unwrap_or(answer.body.len())]);
    }
}

fn read_request(stream: &TcpStream) -> Option<Request> {
    let mut lines = BufReader::new(stream).lines();
    let first = lines.next()?.ok()?;
    let mut words = first.split_whitespace();
    let mut request = Request {
        method: words.next()?.into(),
        path: words.next()?.into(),
        from: None,
        accept: String::new(),
        authorization: String::new(),
    };
    for line in lines.map_while(Result::ok).take_while(|line| !line.is_empty()) {
        let (name, value) = line.split_once(": ")?;
        match name.to_ascii_lowercase().as_str() {
            "authorization" => request.authorization = value.into(),
            "range" => {
                request.from = value.trim_matches(['b', 'y', 't', 'e', 's', '=', '-']).parse().ok()
            }
            "accept" => request.accept = value.into(),
            _ => {}
        }
    }
    Some(request)
}
