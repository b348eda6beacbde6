//! The line between the app and its database, which a test can cut and let fall silent.

use std::{
    io,
    path::PathBuf,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    task::{Context, Poll, ready},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf, copy_bidirectional},
    net::{TcpStream, UnixListener, UnixStream},
    sync::watch,
    task::JoinHandle,
};

/// How the line is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Line {
    Open,
    /// Nothing passes, yet everything seems connected.
    Silent,
}

/// A line to the server that all tests share. Open at first.
pub struct Cable {
    folder: PathBuf,
    server: url::Url,
    line: watch::Sender<Line>,
    heard: Heard,
    /// Who takes connections and holds them; none while the line is cut.
    exchange: Option<JoinHandle<()>>,
}

/// What each connection has sent to the server.
type Heard = Arc<Mutex<Vec<Vec<u8>>>>;

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

impl Cable {
    /// Lays a line to this server.
    pub fn to(server: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("maskline-line-{}-{count}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir(&folder).unwrap();
        let line = watch::Sender::new(Line::Open);
        let mut cable = Self {
            folder,
            server: server.parse().unwrap(),
            line,
            heard: Heard::default(),
            exchange: None,
        };
        cable.mend();
        cable
    }

    /// The URL of a database, through this line.
    pub fn url(&self, database: &str) -> String {
        let mut url = url::Url::parse("postgres:///").unwrap();
        url.set_path(database);
        let mut pairs = url.query_pairs_mut();
        pairs.append_pair("host", self.folder.to_str().unwrap());
        if !self.server.username().is_empty() {
            pairs.append_pair("user", self.server.username());
        }
        if let Some(password) = self.server.password() {
            pairs.append_pair("password", password);
        }
        let passed_on = ["user", "password"];
        let given = self.server.query_pairs();
        pairs.extend_pairs(given.filter(|(name, _)| passed_on.contains(&&**name)));
        pairs.append_pair("sslmode", "disable");
        drop(pairs);
        url.into()
    }

    /// What each connection has sent to the server so far, byte for byte.
    pub fn heard(&self) -> Vec<Vec<u8>> {
        self.heard.lock().unwrap().clone()
    }

    /// Ends every connection and lets no new one in, as a server does that has stopped.
    pub async fn cut(&mut self) {
        if let Some(exchange) = self.exchange.take() {
            exchange.abort();
            assert!(exchange.await.unwrap_err().is_cancelled());
        }
    }

    /// Ends every connection and leads new ones to another server, as a proxy does.
    pub async fn redirect(&mut self, server: &str) {
        self.cut().await;
        self.server = server.parse().unwrap();
        self.mend();
    }

    /// Lets nothing pass, as a network does that has lost its way.
    pub fn silence(&self) {
        self.line.send_replace(Line::Silent);
    }

    /// Those who are connected stay so and hear nothing ever again; new connections work.
    pub fn strand(&mut self) {
        self.silence();
        std::mem::forget(std::mem::replace(&mut self.line, watch::Sender::new(Line::Open)));
        drop(self.exchange.take());
        self.mend();
    }

    /// Lets everything pass again.
    pub fn mend(&mut self) {
        self.line.send_replace(Line::Open);
        if self.exchange.is_none() {
            let socket = self.folder.join(".s.PGSQL.5432");
            std::fs::remove_file(&socket).ok();
            let listener = UnixListener::bind(socket).unwrap();
            let exchange = exchange(
                listener,
                self.server.clone(),
                self.line.subscribe(),
                Arc::clone(&self.heard),
            );
            self.exchange = Some(tokio::spawn(exchange));
        }
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        if let Some(exchange) = self.exchange.take() {
            exchange.abort();
        }
        std::fs::remove_dir_all(&self.folder).ok();
    }
}

async fn exchange(
    listener: UnixListener,
    server: url::Url,
    line: watch::Receiver<Line>,
    heard: Heard,
) {
    let mut calls = tokio::task::JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        let which = {
            let mut heard = heard.lock().unwrap();
            heard.push(Vec::new());
            heard.len() - 1
        };
        let client = Tapped { client, heard: Arc::clone(&heard), which };
        calls.spawn(carry(client, server.clone(), line.clone()));
    }
}

/// A client whose words are kept.
struct Tapped {
    client: UnixStream,
    heard: Heard,
    which: usize,
}

impl AsyncRead for Tapped {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.client).poll_read(context, buffer))?;
        self.heard.lock().unwrap()[self.which].extend_from_slice(&buffer.filled()[before..]);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Tapped {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.client).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.client).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.client).poll_shutdown(context)
    }
}

async fn carry(mut client: Tapped, server: url::Url, mut line: watch::Receiver<Line>) {
    if line.wait_for(|line| *line == Line::Open).await.is_err() {
        return;
    }
    let Ok(mut server) = connect(&server).await else { return };
    let carried = copy_bidirectional(&mut client, &mut server);
    tokio::pin!(carried);
    loop {
        let open = *line.borrow_and_update() == Line::Open;
        tokio::select! {
            _ = &mut carried, if open => return,
            changed = line.changed() => if changed.is_err() { return },
        }
    }
}

async fn connect(server: &url::Url) -> io::Result<Box<dyn Stream>> {
    let given = |name: &str| {
        let found = server.query_pairs().find(|(key, _)| key == name);
        found.map(|(_, value)| value.into_owned())
    };
    let port = given("port").or(server.port().map(|port| port.to_string()));
    let port = port.unwrap_or_else(|| "5432".to_owned());
    let host = given("host").or(server.host_str().map(str::to_owned));
    let host = host.unwrap_or_else(|| "localhost".to_owned());
    Ok(if host.starts_with('/') {
        Box::new(UnixStream::connect(format!("{host}/.s.PGSQL.{port}")).await?)
    } else {
        Box::new(TcpStream::connect(format!("{host}:{port}")).await?)
    })
}
