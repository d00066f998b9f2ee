//! What users do during a case: bursts of posts due at the same second, edits, withdrawals that race the due time,
//! pictures, threads; and, if asked for, networks that misbehave. All of it drawn from the case's seed.

use std::time::Duration;

use futures::{
    FutureExt as _, StreamExt as _,
    future::{BoxFuture, try_join_all},
    stream::FuturesUnordered,
};
use postmesh_kit::clock::{Clock as _, SystemClock};
use rand::{Rng as _, RngExt as _, rngs::StdRng, seq::IndexedRandom as _};
use serde_json::{Value, json};

use super::{
    Client, Sandbox,
    client::{Draft, NETWORKS, Needs, Part, User, network},
    history::Account,
};

/// How long a request that is accepted late takes: three times the time a send may take.
pub const LATE_MS: u64 = 3_000;
/// What a throttled request is told to wait, seconds.
pub const RETRY_AFTER_S: u64 = 1;
/// Bursts whose posts are being written, changed and withdrawn at the same time.
const BURSTS_AT_ONCE: usize = 4;
/// Users look after their accounts after so many bursts.
const RECONNECTED_EVERY: usize = 2;

/// Networks whose refresh tokens are good for one use.
pub const ROTATING: [&str; 3] = ["bluesky", "x", "tiktok"];

/// How much is going on.
#[derive(Debug, Clone)]
pub struct Load {
    /// Workspaces, each with a user.
    pub tenants: usize,
    /// Accounts, spread over tenants and networks.
    pub accounts: usize,
    /// Posts of a burst.
    pub burst: usize,
    /// Time between two bursts.
    pub every: Duration,
    /// How far ahead of its writing a burst is due, milliseconds, at least and at most.
    pub ahead_ms: (i64, i64),
    /// The part of posts that is edited, withdrawn, carries a picture, is a thread.
    pub edits: f64,
    /// As above.
    pub cancels: f64,
    /// As above.
    pub media: f64,
    /// As above.
    pub threads: f64,
    /// Faults of networks per burst, on average.
    pub faults: f64,
    /// How long access tokens live, seconds, where they have an end; `None` as the network has it.
    pub tokens_s: Option<u64>,
}

impl Default for Load {
    /// An account on every network for each of three tenants, a burst of a dozen posts a second, every fourth of them disturbed.
    fn default() -> Self {
        Self {
            tenants: 3,
            accounts: 27,
            burst: 12,
            every: Duration::from_secs(1),
            ahead_ms: (500, 3_000),
            edits: 0.1,
            cancels: 0.1,
            media: 0.05,
            threads: 0.15,
            faults: 3.0,
            tokens_s: Some(30),
        }
    }
}

/// The users with their accounts and pictures.
#[derive(Debug, Clone)]
pub struct Crowd {
    /// The client they share.
    pub client: Client,
    /// The users, one per tenant.
    pub users: Vec<Member>,
}

/// A user and what belongs to it.
#[derive(Debug, Clone)]
pub struct Member {
    /// The user.
    pub user: User,
    /// Its accounts.
    pub accounts: Vec<Account>,
    /// Id and description of a picture in its library.
    pub picture: (String, String),
    /// The same of a video.
    pub clip: (String, String),
}

impl Member {
    /// What a post to these accounts has to carry; all of them need the same.
    pub fn needed(&self, needs: Needs) -> Vec<(String, String)> {
        match needs {
            Needs::Nothing => Vec::new(),
            Needs::Picture => vec![self.picture.clone()],
            Needs::Video => vec![self.clip.clone()],
        }
    }
}

/// What posts to this account have to carry.
pub fn needs_of(account: &Account) -> Needs {
    network(&account.network).map_or(Needs::Nothing, |network| network.needs)
}

impl Crowd {
    /// Registers users, connects their accounts, uploads a picture each. The mesh has to be up. Names begin with
    /// `prefix`, so that several meshes can share a sandbox.
    pub async fn gather(
        client: &Client,
        sandbox: &Sandbox,
        prefix: &str,
        load: &Load,
    ) -> anyhow::Result<Self> {
        let users = try_join_all((0..load.tenants).map(|tenant| async move {
            let user = client.register(&format!("{prefix}{tenant}")).await?;
            let mut accounts = Vec::new();
            for n in (tenant..load.accounts).step_by(load.tenants) {
                let network = &NETWORKS[(n / load.tenants) % NETWORKS.len()];
                let handle = network.handle(&format!("{prefix}{n}"));
                accounts.push(user.connect(sandbox, network, &handle).await?);
            }
            let alt = format!("picture of {prefix}{tenant}");
            let picture = (user.upload(&alt).await?, alt);
            let alt = format!("video of {prefix}{tenant}");
            let clip = (user.upload_clip(&alt).await?, alt);
            anyhow::Ok(Member { user, accounts, picture, clip })
        }))
        .await?;
        if let Some(seconds) = load.tokens_s {
            let lifetime = json!({"kind": "token_lifetime", "access_s": seconds});
            for network in ROTATING {
                sandbox.script(json!({"network": network, "fault": lifetime})).await?;
                sandbox.script(json!({"network": network, "fault": {"kind": "expire_tokens"}})).await?;
            }
        }
        Ok(Self { client: client.clone(), users })
    }

    /// Works until `stop` says so (its sender sent or went), then until everything begun is answered.
    pub async fn work(
        &self,
        sandbox: &Sandbox,
        load: &Load,
        mut rng: StdRng,
        mut stop: tokio::sync::watch::Receiver<bool>,
    ) -> anyhow::Result<()> {
        let mut under_way = FuturesUnordered::new();
        let mut next = tokio::time::Instant::now();
        for n in 0.. {
            while under_way.len() >= BURSTS_AT_ONCE {
                under_way.next().await.transpose()?;
            }
            let stopped = async { stop.wait_for(|stop| *stop).await.map(drop) };
            tokio::select! {
                _ = stopped => break,
                () = tokio::time::sleep_until(next) => {}
                Some(ended) = under_way.next() => {
                    ended?;
                    continue;
                }
            }
            next = tokio::time::Instant::now() + load.every;
            self.disturb(sandbox, load, &mut rng).await?;
            under_way.push(self.burst(load, &mut rng, n));
            if n % RECONNECTED_EVERY == RECONNECTED_EVERY - 1 {
                under_way.push(self.reconnect(sandbox).boxed());
            }
        }
        while let Some(ended) = under_way.next().await {
            ended?;
        }
        Ok(())
    }

    /// Connects again what a network no longer lets in, as users would who are told: two refreshes whose answers were
    /// lost cost the session.
    pub async fn reconnect(&self, sandbox: &Sandbox) -> anyhow::Result<()> {
        let Ok(_alone) = self.client.reconnecting.try_lock() else { return Ok(()) };
        for member in &self.users {
            for account in member.user.disconnected().await? {
                member.user.connect_again(sandbox, &account).await?;
            }
        }
        Ok(())
    }

    /// Works for that many bursts, one after the other being due, and returns when all is answered.
    pub async fn work_bursts(
        &self,
        sandbox: &Sandbox,
        load: &Load,
        mut rng: StdRng,
        bursts: usize,
    ) -> anyhow::Result<()> {
        let mut under_way = FuturesUnordered::new();
        for n in 0..bursts {
            self.disturb(sandbox, load, &mut rng).await?;
            under_way.push(self.burst(load, &mut rng, n));
            let until = tokio::time::Instant::now() + load.every;
            while let Ok(Some(ended)) = tokio::time::timeout_at(until, under_way.next()).await {
                ended?;
            }
            tokio::time::sleep_until(until).await;
        }
        while let Some(ended) = under_way.next().await {
            ended?;
        }
        Ok(())
    }

    /// Posts due at one instant, drawn now, carried out by the future.
    fn burst(&self, load: &Load, rng: &mut StdRng, n: usize) -> BoxFuture<'_, anyhow::Result<()>> {
        let ahead_ms = rng.random_range(load.ahead_ms.0..=load.ahead_ms.1);
        let fates: Vec<_> = (0..load.burst).map(|_| Fate::draw(self, load, rng)).collect();
        async move {
            let due_ms = SystemClock.now_ms() + ahead_ms;
            let posts = fates.into_iter().enumerate().map(|(place, fate)| {
                let text = format!("burst {n} post {place} {}", fate.mark);
                fate.carry_out(self, text, due_ms)
            });
            try_join_all(posts).await.map(drop)
        }
        .boxed()
    }

    /// Makes networks misbehave for some of the coming requests.
    async fn disturb(&self, sandbox: &Sandbox, load: &Load, rng: &mut StdRng) -> anyhow::Result<()> {
        let mut rules = Vec::new();
        let (whole, rest) = (load.faults.floor() as usize, load.faults.fract());
        for _ in 0..whole + usize::from(rng.random_bool(rest)) {
            let Some(member) = self.users.choose(rng) else { continue };
            if let Some(account) = member.accounts.choose(rng) {
                rules.push(fault(account, rng));
            }
        }
        if rules.is_empty() { Ok(()) } else { sandbox.script(Value::from(rules)).await }
    }
}

/// What will be done with one post.
struct Fate {
    member: usize,
    accounts: Vec<String>,
    parts: usize,
    needs: Needs,
    has_picture: bool,
    /// Edited this long after it was written.
    edit_after: Option<Duration>,
    /// Withdrawn this long before (or, negative, after) it is due, milliseconds.
    cancel_before_ms: Option<i64>,
    /// Makes the text its own.
    mark: String,
}

impl Fate {
    fn draw(crowd: &Crowd, load: &Load, rng: &mut StdRng) -> Self {
        let member = rng.random_range(0..crowd.users.len());
        // Accounts that take the same: a text, a picture or a video.
        let accounts = &crowd.users[member].accounts;
        let needs = accounts.choose(rng).map_or(Needs::Nothing, needs_of);
        let alike: Vec<_> = accounts.iter().filter(|account| needs_of(account) == needs).collect();
        let some = rng.random_range(1..=alike.len().min(2));
        let accounts: Vec<_> = alike.sample(rng, some).collect();
        let threads =
            accounts.iter().all(|account| network(&account.network).is_some_and(|known| known.threads));
        let parts = if threads && rng.random_bool(load.threads) { rng.random_range(2..=4) } else { 1 };
        let accounts = accounts.into_iter().map(|account| account.id.clone()).collect();
        Self {
            member,
            accounts,
            parts,
            needs,
            has_picture: needs == Needs::Nothing && rng.random_bool(load.media),
            edit_after: rng
                .random_bool(load.edits)
                .then(|| Duration::from_millis(rng.random_range(0..load.ahead_ms.1.unsigned_abs().max(1)))),
            cancel_before_ms: rng.random_bool(load.cancels).then(|| rng.random_range(-100..400)),
            mark: format!("{:08x}", rng.next_u32()),
        }
    }

    async fn carry_out(self, crowd: &Crowd, text: String, due_ms: i64) -> anyhow::Result<()> {
        let member = &crowd.users[self.member];
        let mut parts: Vec<Part> = (0..self.parts)
            .map(|n| Part {
                text: if n == 0 { text.clone() } else { format!("{text} part {n}") },
                media: vec![],
            })
            .collect();
        parts[0].media = member.needed(if self.has_picture { Needs::Picture } else { self.needs });
        let draft = Draft { parts, accounts: self.accounts, due_ms };
        let Some(mut written) = member.user.try_create(draft).await? else { return Ok(()) };
        if let Some(after) = self.edit_after {
            tokio::time::sleep(after).await;
            member.user.edit(&mut written, &format!("{text} edited")).await?;
        }
        if let Some(before) = self.cancel_before_ms {
            let wait = (due_ms - before - SystemClock.now_ms()).max(0);
            tokio::time::sleep(Duration::from_millis(wait.unsigned_abs())).await;
            member.user.cancel(&written.id).await?;
        }
        Ok(())
    }
}

/// A fault for one of the account's coming requests.
fn fault(account: &Account, rng: &mut StdRng) -> Value {
    let tells_wait = network(&account.network).is_some_and(|network| network.tells_wait);
    let kinds = [
        (json!({"kind": "drop_before"}), 3),
        (json!({"kind": "accept_then_timeout"}), 2),
        (json!({"kind": "accept_then_500"}), 3),
        (json!({"kind": "accept_then_reset"}), 3),
        (json!({"kind": "accept_late", "ms": LATE_MS}), 2),
        (json!({"kind": "garbage"}), 2),
        (json!({"kind": "throttle", "retry_after_s": RETRY_AFTER_S}), if tells_wait { 2 } else { 0 }),
        (json!({"kind": "status", "code": 503}), 3),
        (json!({"kind": "delay", "ms": 300}), 4),
    ];
    let fault = kinds.choose_weighted(rng, |kind| kind.1).map_or(Value::Null, |kind| kind.0.clone());
    // Uploads and sign-ins are disturbed too, but seldom; accepting late means nothing there.
    let operation = match (rng.random_range(0..10), account.network.as_str()) {
        (0, "bluesky") => "refresh",
        (1, _) => "media_upload",
        (2, _) => "read",
        _ => "publish",
    };
    let skip = rng.random_range(0..2);
    json!({"network": account.network, "operation": operation, "account": account.handle, "fault": fault,
        "skip": skip})
}
