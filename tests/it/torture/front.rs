//! What stands before the processes: a public address that leads to those that live, by turns.

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicUsize, Ordering},
};

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
};

/// Passes connections on, and cuts those that lead to a process that is no longer among the living.
pub struct Front {
    pub address: SocketAddr,
    living: watch::Sender<Vec<SocketAddr>>,
    task: JoinHandle<()>,
}

impl Front {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let living = watch::Sender::default();
        let task = tokio::spawn(pass_on(listener, living.subscribe()));
        Self { address, living, task }
    }

    /// Where connections go from now on.
    pub fn lead_to(&self, living: Vec<SocketAddr>) {
        self.living.send_replace(living);
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn pass_on(listener: TcpListener, living: watch::Receiver<Vec<SocketAddr>>) {
    let turn = AtomicUsize::new(0);
    while let Ok((client, _)) = listener.accept().await {
        let mut first = living.borrow().clone();
        if !first.is_empty() {
            let next = turn.fetch_add(1, Ordering::Relaxed) % first.len();
            first.rotate_left(next);
        }
        tokio::spawn(carry(client, first, living.clone()));
    }
}

async fn carry(
    mut client: TcpStream,
    replicas: Vec<SocketAddr>,
    mut living: watch::Receiver<Vec<SocketAddr>>,
) {
    for address in replicas {
        let Ok(mut replica) = TcpStream::connect(address).await else { continue };
        tokio::select! {
            _ = copy_bidirectional(&mut client, &mut replica) => {}
            _ = living.wait_for(|living| !living.contains(&address)) => {}
        }
        return;
    }
}
