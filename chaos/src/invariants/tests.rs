//! The checker checked: a clean history passes, and for each invariant one that breaks it is caught, by name.

use super::{check, judge};
use crate::rig::history::{
    Account, Allowances, Attempt, Class, Event, History, Permits, Request, Revision, Standing, Target,
    Visible,
};

const DUE: i64 = 10_000;

fn account(id: &str, tenant: &str, network: &str, class: Class) -> Account {
    let (id, tenant, network) = (id.to_owned(), tenant.to_owned(), network.to_owned());
    Account {
        handle: format!("handle of {id}"),
        id,
        tenant,
        network,
        class,
        comments: false,
        shows_alt: true,
        permits: None,
    }
}

fn event(id: i64, state: &str, attempt: i64, at_ms: i64) -> Event {
    Event { id, revision: 1, state: state.to_owned(), attempt, reports: true, at_ms }
}

/// A target on account `a` that was published on time.
fn target(n: i64, due_ms: i64) -> Target {
    let id = format!("target {n}");
    Target {
        thread: id.clone(),
        post: format!("post {n}"),
        tenant: "ana".to_owned(),
        account: "a".to_owned(),
        revisions: vec![Revision { content: format!("text {n}"), media: vec![], due_ms, acked_ms: 1_000 }],
        state: "published".to_owned(),
        native_id: Some(format!("native {n}")),
        events: vec![event(10 * n, "handed_over", 0, 1_100), event(10 * n + 1, "published", 1, due_ms + 30)],
        attempts: vec![Attempt {
            n: 1,
            key: format!("key {n}"),
            revision: 1,
            armed_ms: due_ms + 5,
            outcome: Some("accepted".to_owned()),
        }],
        id,
        ..Target::default()
    }
}

fn post(n: i64, at_ms: i64) -> Visible {
    Visible {
        network: "mastodon".to_owned(),
        account: "handle of a".to_owned(),
        native_id: format!("native {n}"),
        content: format!("text {n}"),
        media: vec![],
        at_ms,
    }
}

/// Two targets of one account, published one after the other; two tenants.
fn clean() -> History {
    History {
        accounts: vec![account("a", "ana", "mastodon", Class::C), account("b", "ben", "mastodon", Class::C)],
        targets: vec![target(1, DUE), target(2, DUE + 100)],
        visible: vec![post(1, DUE + 20), post(2, DUE + 120)],
        standing: Standing { is_ready: true, expects_posts: true, ..Standing::default() },
        allowances: Allowances {
            lateness_p99_ms: Some(2_000),
            order_after_ms: Some(1_000),
            ..Allowances::default()
        },
        ..History::default()
    }
}

/// Changes the clean history and answers which invariants it breaks.
fn broken(change: impl FnOnce(&mut History)) -> Vec<String> {
    let mut history = clean();
    change(&mut history);
    let mut names: Vec<_> = check(&history).into_iter().map(|violation| violation.invariant).collect();
    names.dedup();
    names
}

#[test]
fn a_clean_history_passes() {
    assert_eq!(check(&clean()), []);
    let judged = judge("kills", &clean());
    assert_eq!((judged.counts.targets, judged.counts.lost, judged.counts.duplicates), (2, 0, 0));
}

#[test]
fn i1_a_published_target_whose_post_is_absent() {
    assert_eq!(broken(|history| drop(history.visible.remove(0))), ["I1"]);
    assert_eq!(broken(|history| history.targets[0].state.clear()), ["I1", "I15"]);
}

#[test]
fn i2_a_post_too_many() {
    let twice = |history: &mut History| {
        history.visible.push(Visible { native_id: "another".to_owned(), ..post(1, DUE + 500) });
    };
    assert_eq!(broken(twice), ["I2"]);
    let mut history = clean();
    twice(&mut history);
    assert_eq!(judge("kills", &history).counts.duplicates, 1);
}

#[test]
fn i3_a_post_nobody_asked_for_or_in_words_replaced_before() {
    assert_eq!(broken(|history| history.visible.push(post(7, DUE + 500))), ["I3"]);
    let edited = |history: &mut History| {
        let newer = Revision { content: "edited".to_owned(), due_ms: DUE, acked_ms: 2_000, media: vec![] };
        history.targets[0].revisions.push(newer);
    };
    assert_eq!(broken(edited), ["I3"]);
    let without_picture =
        |history: &mut History| history.targets[0].revisions[0].media.push("a cat".to_owned());
    assert_eq!(broken(without_picture), ["I3"]);
}

#[test]
fn i4_a_post_of_a_target_that_failed() {
    for state in ["failed", "missed", "cancelled"] {
        let ended = |history: &mut History| {
            state.clone_into(&mut history.targets[0].state);
            history.targets[0].events.push(event(99, state, 1, DUE + 40));
            history.allowances.misses = true;
        };
        assert_eq!(broken(ended), ["I4"], "{state}");
    }
}

#[test]
fn i5_a_target_that_names_another_post() {
    assert_eq!(broken(|history| history.targets[0].native_id = Some("native 2".to_owned())), ["I5"]);
}

#[test]
fn i6_a_post_before_its_time_and_too_many_late() {
    assert_eq!(broken(|history| history.visible[0].at_ms = DUE - 1), ["I6"]);
    let late = |history: &mut History| history.visible.iter_mut().for_each(|post| post.at_ms += 5_000);
    assert_eq!(broken(late), ["I6"]);
}

#[test]
fn i7_a_post_whose_withdrawal_was_acknowledged() {
    assert_eq!(broken(|history| history.targets[0].cancelled_ms = Some(DUE - 50)), ["I7"]);
    let planned_again = |history: &mut History| {
        history.targets[0].cancelled_ms = Some(500);
    };
    assert_eq!(broken(planned_again), [] as [&str; 0]);
}

#[test]
fn i8_a_post_overtaken_and_a_thread_out_of_order() {
    let overtaken = |history: &mut History| history.visible[0].at_ms = DUE + 400;
    assert_eq!(broken(overtaken), ["I8"]);
    let just_known = |history: &mut History| {
        overtaken(history);
        history.targets[0].events[0].at_ms = DUE;
    };
    assert_eq!(broken(just_known), [] as [&str; 0]);
    let thread = |history: &mut History| {
        history.targets[1] = Target { position: 1, ..target(2, DUE) };
        history.targets[1].thread = history.targets[0].id.clone();
        history.visible = vec![post(2, DUE + 10), post(1, DUE + 20)];
        history.allowances.order_after_ms = None;
    };
    assert_eq!(broken(thread), ["I8"]);
}

fn send(at_ms: i64) -> Request {
    Request {
        at_ms,
        network: "mastodon".to_owned(),
        account: Some("handle of a".to_owned()),
        operation: "publish".to_owned(),
        status: Some(200),
        ..Request::default()
    }
}

#[test]
fn i9_more_than_the_permits_and_sooner_than_told() {
    let hasty = |history: &mut History| {
        history.requests =
            vec![Request { status: Some(429), retry_after_ms: Some(1_000), ..send(DUE) }, send(DUE + 500)];
    };
    assert_eq!(broken(hasty), ["I9"]);
    let many = |n: i64| {
        move |history: &mut History| {
            history.accounts[0].permits = Some(Permits { posts: 2, window_ms: 1_000 });
            history.requests = (0..n).map(|n| send(DUE + n)).collect();
        }
    };
    assert_eq!(broken(many(3)), [] as [&str; 0]);
    assert_eq!(broken(many(4)), ["I9"]);
}

#[test]
fn i10_a_refresh_token_presented_again() {
    let refresh = |at_ms| Request {
        operation: "refresh".to_owned(),
        refresh_token: Some("digest".to_owned()),
        ..send(at_ms)
    };
    let times = |n: i64, crashes| {
        move |history: &mut History| {
            history.requests = (0..n).map(refresh).collect();
            history.standing.crashes = crashes;
        }
    };
    assert_eq!(broken(times(1, 0)), [] as [&str; 0]);
    assert_eq!(broken(times(2, 0)), ["I10"]);
    assert_eq!(broken(times(2, 1)), [] as [&str; 0]);
    assert_eq!(broken(times(3, 1)), ["I10"]);
    let crashed_at = |moments: Vec<i64>| {
        move |history: &mut History| {
            history.requests =
                moments.iter().map(|crash| refresh(crash - 50)).chain([refresh(3_000)]).collect();
            history.standing.crashes = 9;
            history.standing.crashed_ms = moments;
        }
    };
    assert_eq!(broken(crashed_at(vec![1_050])), [] as [&str; 0]);
    assert_eq!(broken(crashed_at(vec![1_050, 2_040])), ["I10"]);
    let crashed_before = |history: &mut History| {
        crashed_at(vec![1_050])(history);
        history.standing.crashed_ms = vec![500];
    };
    assert_eq!(broken(crashed_before), ["I10"]);
    let unanswered = |history: &mut History| {
        history.requests = vec![Request { status: None, ..refresh(1_000) }, refresh(2_000)];
    };
    assert_eq!(broken(unanswered), [] as [&str; 0]);
}

#[test]
fn i11_a_user_asked_what_the_network_can_tell() {
    let asked = |history: &mut History| {
        history.targets[0].state = "needs_confirmation".to_owned();
        history.targets[0].events.push(event(99, "needs_confirmation", 1, DUE + 40));
    };
    assert_eq!(broken(asked), ["I11"]);
    let of_class_d = |history: &mut History| {
        asked(history);
        history.accounts[0].class = Class::D;
    };
    assert_eq!(broken(of_class_d), [] as [&str; 0]);
    let findable = |history: &mut History| {
        of_class_d(history);
        history.allowances.finds = true;
    };
    assert_eq!(broken(findable), ["I11"]);
}

#[test]
fn i12_something_left_lying() {
    assert_eq!(broken(|history| history.standing.stuck = 1), ["I12"]);
    assert_eq!(broken(|history| history.standing.open_attempts = 1), ["I12"]);
    assert_eq!(broken(|history| history.standing.open_refreshes = 1), ["I12"]);
    assert_eq!(broken(|history| history.standing.is_ready = false), ["I12"]);
}

#[test]
fn i13_an_end_nobody_was_told_of() {
    assert_eq!(broken(|history| drop(history.targets[0].events.pop())), ["I13"]);
    assert_eq!(broken(|history| history.targets[0].events[1].reports = false), ["I13"]);
    assert_eq!(broken(|history| history.targets[0].events[0].id = 20), ["I13"]);
}

#[test]
fn i14_a_tenant_s_text_on_another_s_account() {
    let abroad = |history: &mut History| "handle of b".clone_into(&mut history.visible[0].account);
    assert_eq!(broken(abroad), ["I1", "I3", "I14"]);
    assert_eq!(broken(|history| history.targets[0].tenant = "ben".to_owned()), ["I14"]);
}

#[test]
fn i15_a_target_without_an_end_and_a_case_without_posts() {
    let hanging = |history: &mut History| history.targets[0].state = "retry_wait".to_owned();
    assert_eq!(broken(hanging), ["I15"]);
    let mut history = clean();
    hanging(&mut history);
    assert_eq!(judge("kills", &history).counts.lost, 1);
    let nothing = |history: &mut History| {
        history.targets.clear();
        history.visible.clear();
    };
    assert_eq!(broken(nothing), ["I15"]);
}

#[test]
fn attempts_in_doubt_are_counted_once() {
    let mut history = clean();
    history.targets[0].attempts[0].outcome = Some("unconfirmed".to_owned());
    history.targets[0].events.insert(1, event(50, "unknown", 1, DUE + 10));
    history.targets[1].events.insert(1, event(51, "unknown", 1, DUE + 10));
    history.targets[1].events.insert(2, event(52, "unknown", 1, DUE + 15));
    assert_eq!(history.ambiguous(), 2);
}
