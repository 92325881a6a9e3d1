//! A connection that asks one thing after the other and costs next to nothing: client and servers share the processors, and a
//! client library's share would be measured with them.

use std::net::SocketAddr;

use anyhow::{Context, Result, bail};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

/// A request as it is sent.
pub(super) struct Request(Vec<u8>);

impl Request {
    /// One of whoever has this token.
    pub(super) fn new(method: &str, path: &str, token: Option<&str>, body: Option<&Value>) -> Self {
        let mut head = format!("{method} {path} HTTP/1.1\r\nhost: workspace\r\naccept: application/json\r\n");
        if let Some(token) = token {
            head.push_str(&format!("authorization: Bearer {token}\r\n"));
        }
        let body = body.map(Value::to_string).unwrap_or_default();
        if !body.is_empty() {
            head.push_str(&format!("content-type: application/json\r\ncontent-length: {}\r\n", body.len()));
        }
        Self(format!("{head}\r\n{body}").into_bytes())
    }
}

/// A connection that is kept.
pub(super) struct Connection {
    stream: BufReader<TcpStream>,
    line: String,
    body: Vec<u8>,
}

impl Connection {
    /// Connects.
    pub(super) async fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).await.with_context(|| format!("connect to {address}"))?;
        stream.set_nodelay(true).context("send at once")?;
        Ok(Self {
            stream: BufReader::with_capacity(256 << 10, stream),
            line: String::new(),
            body: Vec::new(),
        })
    }

    /// Asks, and answers the body of a 200.
    pub(super) async fn ask(&mut self, request: &Request) -> Result<&[u8]> {
        let status = self.exchange(&request.0).await?;
        if status != "200" {
            bail!("an answer is {status}: {}", String::from_utf8_lossy(&self.body));
        }
        Ok(&self.body)
    }

    /// Sends, and reads the whole answer; its status.
    async fn exchange(&mut self, request: &[u8]) -> Result<String> {
        self.stream.get_mut().write_all(request).await.context("send a request")?;
        let first = self.header().await?;
        let status = first.split(' ').nth(1).unwrap_or_default().to_owned();
        let mut length = None;
        loop {
            let header = self.header().await?;
            let Some((name, value)) = header.split_once(':') else { break };
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse().ok();
            }
        }
        let length = length.with_context(|| format!("an answer ({status}) has no length"))?;
        self.body.resize(length, 0);
        self.stream.read_exact(&mut self.body).await.context("read an answer")?;
        Ok(status)
    }

    /// A line of the head, empty at its end.
    async fn header(&mut self) -> Result<&str> {
        self.line.clear();
        if self.stream.read_line(&mut self.line).await.context("read an answer")? == 0 {
            bail!("the connection was closed instead of an answer");
        }
        Ok(self.line.trim_end())
    }
}
