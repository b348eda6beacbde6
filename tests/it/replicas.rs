//! Any number of processes on one database, started and stopped at any time.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use crate::{
    browser::say,
    sending::soon,
    service::{ANN, BEN, Served, Site},
    support::{NUMBER, SECRET, code_in, flat, number},
};

/// Enough for what these tests send.
pub(crate) const FAST: [(&str, &str); 1] = [("MASKLINE_SMS_PER_SECOND", "10000")];

/// Where webhooks can be delivered now.
#[derive(Clone, Default)]
pub(crate) struct Doors {
    open: Arc<Mutex<Vec<SocketAddr>>>,
    http: reqwest::Client,
}

impl Doors {
    pub(crate) fn open(&self, served: &Served) {
        self.open.lock().unwrap().push(served.public.unwrap());
    }

    fn close(&self, served: &Served) {
        self.open.lock().unwrap().retain(|door| Some(*door) != served.public);
    }

    /// Delivers a text of Ann's at one door after the other until one takes it.
    pub(crate) async fn deliver(&self, id: &str, body: &str) {
        soon("a text is taken in", self.knock(id, body)).await;
    }

    async fn knock(&self, id: &str, body: &str) {
        let text = flat(id, &number(ANN), NUMBER, body);
        for turn in 0.. {
            let doors = self.open.lock().unwrap().clone();
            let door = doors[turn % doors.len()];
            let post = self.http.post(format!("http://{door}/api/message/{SECRET}")).json(&text);
            if post.send().await.is_ok_and(|answer| answer.status() == 200) {
                return;
            }
            tokio::task::yield_now().await;
        }
    }
}

/// Connects Ann and Ben, and returns when both know it.
pub(crate) async fn connect(site: &Site) {
    site.text(ANN, "START").await;
    let code = code_in(&site.inbox(ANN, 1).await[0]).unwrap();
    site.text(BEN, &format!("JOIN {code}")).await;
    site.inbox(ANN, 2).await;
    site.inbox(BEN, 1).await;
}

/// What Ben got of Ann's texts.
pub(crate) async fn talk(site: &Site, count: usize) -> Vec<String> {
    let mut inbox = site.inbox(BEN, count + 1).await;
    inbox.retain(|body| body.starts_with("text "));
    inbox
}

#[tokio::test]
async fn a_role_that_is_left_out_is_left_to_the_others() {
    let site = Site::new().await;
    let door = site.serve_with("serve --without worker,sweeper --without reconciler", &FAST).await;
    assert_eq!(door.ready().await, (200, "ready: webhook fetcher sealer exporter\n".to_owned()));
    site.text(ANN, "HELP").await;
    // Whoever sends is rung when a text is taken in, and is let finish.
    door.stop().await;
    assert_eq!(site.column("select state from outbox").await, ["queued"]);

    let rest = site.serve_with("serve --without webhook", &FAST).await;
    assert_eq!(rest.public, None, "no listener for webhooks is opened");
    assert_eq!(rest.ready().await.1, "ready: worker sweeper reconciler fetcher sealer exporter\n");
    assert_eq!(site.inbox(ANN, 1).await.len(), 1);
    // It hears of texts that another process takes in.
    let door = site.serve_with("serve --without worker", &FAST).await;
    site.text(BEN, "HELP").await;
    assert_eq!(site.inbox(BEN, 1).await.len(), 1);
    door.stop().await;
    rest.stop().await;
}

#[tokio::test]
async fn processes_come_and_go_under_traffic_and_nothing_is_lost() {
    const TEXTS: usize = 100;
    let site = Site::new().await;
    let doors = Doors::default();
    let mut oldest = site.serve_with("serve", &FAST).await;
    doors.open(&oldest);
    connect(&site).await;
    let traffic = doors.clone();
    let mut traffic = tokio::spawn(async move {
        for n in 0..TEXTS {
            traffic.deliver(&format!("id {n}"), &format!("text {n}")).await;
        }
    });
    let mut changes = 0;
    while !traffic.is_finished() {
        let next = site.serve_with("serve", &FAST).await;
        doors.open(&next);
        let crashing = site.serve_with("serve --without worker", &FAST).await;
        doors.open(&crashing);
        crashing.signal("-KILL");
        doors.close(&crashing);
        crashing.ended().await;
        doors.close(&oldest);
        std::mem::replace(&mut oldest, next).stop().await;
        changes += 1;
    }
    (&mut traffic).await.unwrap();
    assert!(changes > 1, "{changes} changes");
    let expected: Vec<String> = (0..TEXTS).map(|n| format!("text {n}")).collect();
    assert_eq!(soon("all arrive", talk(&site, TEXTS)).await, expected);
    site.until("select state from outbox", &[]).await;
    say(&format!("{TEXTS} texts in order, each once, over {changes} changes of the processes"));
    oldest.stop().await;
}
