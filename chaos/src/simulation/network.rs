//! Simulated networks, one class each: what a request makes visible, what a read tells, what tokens are worth. What
//! became visible here is the truth that a run is judged by.

use std::{collections::BTreeMap, time::Duration};

use postmesh_publisher::domain::outcome::{Answer, DeliveryClass, Fault, Found, Outcome, Wire};
use rand::{RngExt as _, rngs::SmallRng};
use uuid::Uuid;

use crate::rig::history;

/// How long keys are remembered (class C), longer than the publisher trusts them.
const KEY_MEMORY: i64 = 12 * 60_000;
/// How long a container lives before it is published (class B).
const CONTAINER_LIFE: i64 = 5 * 60_000;
/// How long posts can be missed by reads (class D).
const READ_LAG: i64 = 30_000;

/// One visible request.
#[derive(Debug, Clone)]
pub(super) struct Send {
    pub(super) account: Uuid,
    pub(super) target: Uuid,
    pub(super) n: i64,
    pub(super) tokens: i64,
    pub(super) key: String,
    pub(super) text: String,
    pub(super) container: String,
    pub(super) is_resend: bool,
    /// When it left; it may arrive much later.
    pub(super) left_at: i64,
}

/// What is known of a request that is looked for.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) target: Uuid,
    pub(super) key: String,
    pub(super) container: String,
}

/// What goes wrong with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trouble {
    None,
    /// It never arrives; the sender notices at once, or never.
    Lost {
        is_noticed: bool,
    },
    /// It cannot even leave.
    Unreachable,
    /// Executed, and then nothing, a reset, a 500, or something unreadable comes back.
    Silence,
    Reset,
    Fails,
    Garbage,
    /// Executed long after the sender has given up.
    Late,
    /// Answered late.
    Slow,
    /// Not executed: 429 with or without a hint, 503, a refusal.
    Throttled {
        wait: Option<Duration>,
    },
    Unavailable,
    Refused,
}

#[derive(Debug)]
struct Post {
    target: Uuid,
    key: String,
    container: String,
    text: String,
    at: i64,
    /// Not shown yet: until then it is processed.
    shown_at: i64,
}

/// One account at its network.
#[derive(Debug)]
pub(super) struct Account {
    pub(super) class: DeliveryClass,
    pub(super) network: &'static str,
    pub(super) handle: String,
    pub(super) workspace: Uuid,
    /// How long access tokens live.
    pub(super) token_life: Option<i64>,
    /// The newest pair of tokens.
    pub(super) version: i64,
    /// When each access token ends.
    ends: BTreeMap<i64, i64>,
    pub(super) is_revoked: bool,
    /// Whether it processes before it shows (class B).
    pub(super) processes: bool,
    posts: Vec<Post>,
    containers: BTreeMap<String, i64>,
}

/// All networks.
#[derive(Debug, Default)]
pub(super) struct Networks {
    pub(super) accounts: BTreeMap<Uuid, Account>,
    pub(super) requests: Vec<history::Request>,
}

impl Account {
    pub(super) fn new(
        class: DeliveryClass,
        handle: String,
        workspace: Uuid,
        token_life: Option<i64>,
    ) -> Self {
        Self {
            class,
            network: super::name_of(class),
            handle,
            workspace,
            token_life,
            version: 1,
            ends: token_life.map(|life| (1, life)).into_iter().collect(),
            is_revoked: false,
            processes: false,
            posts: Vec::new(),
            containers: BTreeMap::new(),
        }
    }

    /// Whether a token is good; why not.
    fn admit(&self, tokens: i64, now: i64) -> Result<(), Outcome> {
        if self.is_revoked {
            Err(Outcome::Reconnect { message: "the authorization was taken back".into() })
        } else if self.ends.get(&tokens).is_some_and(|end| *end <= now) {
            Err(Outcome::TokenExpired)
        } else {
            Ok(())
        }
    }

    /// A new pair of tokens and when its access token ends.
    pub(super) fn issue(&mut self, now: i64) -> (i64, Option<i64>) {
        self.version += 1;
        let end = self.token_life.map(|life| now + life);
        if let Some(end) = end {
            self.ends.insert(self.version, end);
        }
        (self.version, end)
    }

    fn native_id(&self, place: usize) -> String {
        format!("{}-{place}", self.handle)
    }

    /// The post this very request made before, where the network can know that.
    fn same(&self, send: &Send, now: i64) -> Option<usize> {
        self.posts.iter().position(|post| match self.class {
            DeliveryClass::NaturalKey => post.key == send.key,
            DeliveryClass::Handle => post.container == send.container,
            DeliveryClass::IdempotencyKey => post.key == send.key && now < post.at + KEY_MEMORY,
            DeliveryClass::ReadBack | DeliveryClass::Nothing => false,
        })
    }
}

fn answered(outcome: Outcome, status: u16) -> Answer {
    let hold = match &outcome {
        Outcome::Transient { retry_after, .. } => *retry_after,
        _ => None,
    };
    Answer { outcome, wire: Wire { http_status: Some(status), hold, ..Wire::default() } }
}

impl Networks {
    fn note(
        &mut self,
        account: Uuid,
        operation: &str,
        now: i64,
        status: Option<u16>,
    ) -> &mut history::Request {
        let known = &self.accounts[&account];
        self.requests.push(history::Request {
            at_ms: now,
            network: known.network.to_owned(),
            account: Some(known.handle.clone()),
            operation: operation.to_owned(),
            status,
            ..history::Request::default()
        });
        self.requests.last_mut().expect("it was just pushed")
    }

    /// A visible request arrives.
    pub(super) fn publish(&mut self, send: &Send, trouble: Trouble, now: i64, rng: &mut SmallRng) -> Answer {
        let answer = self.execute(send, trouble, now, rng);
        let status = answer.wire.http_status;
        let hold = answer.wire.hold.map(|hold| hold.as_millis() as i64);
        self.note(send.account, "publish", send.left_at, status).retry_after_ms = hold;
        answer
    }

    fn execute(&mut self, send: &Send, trouble: Trouble, now: i64, rng: &mut SmallRng) -> Answer {
        let account = self.accounts.get_mut(&send.account).expect("accounts are never removed");
        if let Err(refusal) = account.admit(send.tokens, now) {
            return answered(refusal, 401);
        }
        match trouble {
            Trouble::Throttled { wait } => {
                let (code, message) = ("RATE_LIMITED".into(), "later".into());
                return answered(Outcome::Transient { code, message, retry_after: wait }, 429);
            }
            Trouble::Unavailable => return answered(Outcome::Ambiguous { evidence: "503".into() }, 503),
            Trouble::Refused => {
                let (code, message) = ("TEXT_REFUSED".into(), "shorten it".into());
                return answered(Outcome::Rejected { code, message }, 422);
            }
            _ => {}
        }
        let same = account.same(send, now);
        if account.class == DeliveryClass::Handle && same.is_none() {
            let made = account.containers.get(&send.container).copied().unwrap_or(i64::MIN);
            if now >= made.saturating_add(CONTAINER_LIFE) {
                let (code, message) = ("CONTAINER_GONE".into(), "it is made again".into());
                return if send.is_resend {
                    answered(Outcome::Ambiguous { evidence: "the container is gone".into() }, 400)
                } else {
                    answered(Outcome::Stale { steps: vec!["container".into()], code, message }, 400)
                };
            }
        }
        let place = same.unwrap_or_else(|| {
            let wait = if account.processes { rng.random_range(1_000..40_000) } else { 0 };
            account.posts.push(Post {
                target: send.target,
                key: send.key.clone(),
                container: send.container.clone(),
                text: send.text.clone(),
                at: now,
                shown_at: now + wait,
            });
            account.posts.len() - 1
        });
        let native_id = account.native_id(place);
        match trouble {
            Trouble::Fails => answered(Outcome::Ambiguous { evidence: "500".into() }, 500),
            Trouble::Garbage => answered(Outcome::Ambiguous { evidence: "unreadable".into() }, 200),
            _ if account.posts[place].shown_at > now => {
                answered(Outcome::Processing { handle: native_id }, 200)
            }
            _ => answered(Outcome::Accepted { native_id, url: String::new() }, 200),
        }
    }

    /// Reads whether a target is there.
    pub(super) fn look(&mut self, account: Uuid, asked: &Asked, tokens: i64, now: i64) -> Found {
        let known = &self.accounts[&account];
        let unsure = |why: &str| Found::Unsure { why: why.to_owned() };
        if known.class == DeliveryClass::Nothing {
            return unsure("this network cannot be asked");
        }
        if known.admit(tokens, now).is_err() {
            return unsure("the tokens do not hold");
        }
        let found = known.posts.iter().position(|post| match known.class {
            DeliveryClass::NaturalKey => post.key == asked.key,
            DeliveryClass::Handle => post.container == asked.container,
            DeliveryClass::ReadBack => post.target == asked.target && now >= post.at + READ_LAG,
            _ => post.target == asked.target,
        });
        match found {
            Some(place) if known.posts[place].shown_at > now => unsure("it is being processed"),
            Some(place) => Found::Live {
                native_id: known.native_id(place),
                url: String::new(),
                evidence: "read".to_owned(),
            },
            None => Found::Absent,
        }
    }

    /// How far processing is.
    pub(super) fn poll(&self, account: Uuid, handle: &str, now: i64) -> Outcome {
        let known = &self.accounts[&account];
        match known.posts.iter().enumerate().find(|(place, _)| known.native_id(*place) == handle) {
            Some((_, post)) if post.shown_at > now => Outcome::Processing { handle: handle.to_owned() },
            Some(_) => Outcome::Accepted { native_id: handle.to_owned(), url: String::new() },
            None => Outcome::Ambiguous { evidence: "unknown handle".into() },
        }
    }

    /// Makes a container (class B); nothing is visible.
    pub(super) fn make_container(&mut self, account: Uuid, tokens: i64, now: i64) -> Result<String, Fault> {
        let known = self.accounts.get_mut(&account).expect("accounts are never removed");
        known.admit(tokens, now).map_err(|refusal| match refusal {
            Outcome::TokenExpired => Fault::TokenExpired,
            _ => Fault::Reconnect { message: "connect again".into() },
        })?;
        let name = format!("c{}", known.containers.len());
        known.containers.insert(name.clone(), now);
        Ok(name)
    }

    /// A refresh token is presented: single use, and a used one ends the family.
    pub(super) fn refresh(
        &mut self,
        account: Uuid,
        version: i64,
        now: i64,
    ) -> Result<(i64, Option<i64>), ()> {
        let known = self.accounts.get_mut(&account).expect("accounts are never removed");
        let presented = format!("{}/{version}", known.handle);
        known.is_revoked |= version != known.version;
        let issued = if known.is_revoked { Err(()) } else { Ok(known.issue(now)) };
        let status = if issued.is_ok() { 200 } else { 400 };
        self.note(account, "refresh", now, Some(status)).refresh_token = Some(presented);
        issued
    }

    /// A user connects the account again.
    pub(super) fn reconnect(&mut self, account: Uuid, now: i64) -> (i64, Option<i64>) {
        let known = self.accounts.get_mut(&account).expect("accounts are never removed");
        known.is_revoked = false;
        known.issue(now)
    }

    /// What is visible at `now`, as a history says it.
    pub(super) fn visible(&self, now: i64) -> Vec<history::Visible> {
        let mut visible = Vec::new();
        for account in self.accounts.values() {
            for (place, post) in account.posts.iter().enumerate().filter(|(_, post)| post.shown_at <= now) {
                visible.push(history::Visible {
                    network: account.network.to_owned(),
                    account: account.handle.clone(),
                    native_id: account.native_id(place),
                    content: post.text.clone(),
                    media: Vec::new(),
                    at_ms: post.at,
                });
            }
        }
        visible.sort_by_key(|post| post.at_ms);
        visible
    }
}
