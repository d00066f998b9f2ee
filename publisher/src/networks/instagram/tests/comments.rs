//! Further parts of a thread. A comment has no container: it is found or not found, and never sent again by itself.

use super::{
    stage::{addressed, another, part_of, word},
    *,
};

/// A thread whose root is there.
async fn thread() -> (Stage, String) {
    let stage = stage(Door::Own).await;
    let (root, _) = stage.publish(&stage.image("root")).await;
    (stage, root)
}

impl Stage {
    fn part(&self, root: &str, parent: &str, text: &str) -> Work {
        part_of(root, parent, self.work(text, vec![], None))
    }

    /// Comments on it as somebody does in the app; the comment's id.
    async fn say(&self, session: &Session, root: &str, text: &str) -> String {
        let ready = Ready::new(object!({ "message": text }).to_string());
        let armed = Armed::for_tests(false, crate::testing::TIME);
        addressed(self.network.send(armed, session, &self.part(root, root, text), &ready).await).0
    }

    /// Sends a part so that its answer is lost, or before it is executed; what is found then.
    async fn lost(&self, part: &Work, fault: &str, facts: &AttemptFacts) -> Found {
        let ready = self.ready(part).await;
        self.fault("publish", object!({ "kind": fault })).await;
        assert_eq!(word(&self.send(part, &ready).await.outcome), "ambiguous");
        self.find(part, &HandleMap::new(), facts).await
    }
}

fn why(found: &Found) -> &str {
    match found {
        Found::Unsure { why } => why,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn further_parts_are_comments_that_are_found_and_never_sent_blindly() {
    let (stage, root) = thread().await;
    let part = stage.part(&root, &root, "a comment");
    assert_eq!(stage.network.validate(&limits(), &part.content, 1), []);
    let facts = attempt();
    let none = stage.find(&part, &HandleMap::new(), &facts).await;
    assert!(why(&none).contains("no comment"), "that it is not shown proves nothing: {none:?}");
    let found = stage.lost(&part, "accept_then_reset", &facts).await;
    let Found::Live { native_id, url, .. } = found else { panic!("{found:?}") };
    assert_eq!(url, "", "comments have no address");
    let line = &stage.bench.ledger().await[1];
    assert_eq!((&line["native_id"], &line["in_reply_to"]), (&object!(native_id), &object!(root)));
    let counts = object!({ "network": "instagram", "native_id": native_id, "likes": 4 });
    stage.bench.control("engage", &counts).await;
    assert_eq!(stage.network.metrics(&stage.session, &[native_id]).await.unwrap()[0].likes, 4);
    stage.refuse("publish", 400, 100, 33).await;
    let ready = stage.ready(&part).await;
    assert_eq!(word(&stage.send(&part, &ready).await.outcome), "PARENT_GONE");
    let reasons = |work: &Work| {
        let found = stage.network.validate(&limits(), &work.content, 1);
        found.into_iter().map(|violation| violation.reason).collect::<Vec<_>>()
    };
    assert_eq!(reasons(&stage.image("x")), ["COMMENT_WITH_MEDIA"]);
    assert_eq!(reasons(&stage.work(&"x".repeat(301), vec![], None)), ["TEXT_TOO_LONG"]);
    assert_eq!(reasons(&stage.work("x", vec![], Some(InstagramKind::Reel))), ["COMMENT_WITH_SETTINGS"]);
}

#[tokio::test]
async fn parts_with_the_same_words_are_told_apart_by_what_came_before_them() {
    let (stage, root) = thread().await;
    let facts = attempt();
    let first = stage.say(&stage.session, &root, "the same words").await;
    // The part before it says the same, and is not it.
    let second = stage.part(&root, &first, "the same words");
    let unsent = stage.lost(&second, "drop_before", &facts).await;
    assert!(why(&unsent).contains("no comment"), "{unsent:?}");
    let found = stage.lost(&second, "accept_then_500", &facts).await;
    let Found::Live { native_id: second, .. } = found else { panic!("{found:?}") };
    assert_ne!(second, first);
    // So does one further back.
    let third = stage.say(&stage.session, &root, "other words").await;
    let fourth = stage.part(&root, &third, "the same words");
    let unsent = stage.lost(&fourth, "drop_before", &facts).await;
    assert!(why(&unsent).contains("no comment"), "{unsent:?}");
    // Two that came after it are not chosen between, but for one that is known to be another's.
    let found = stage.lost(&fourth, "accept_then_reset", &facts).await;
    assert!(matches!(found, Found::Live { .. }), "{found:?}");
    let later = stage.say(&stage.session, &root, "the same words").await;
    let two = stage.find(&fourth, &HandleMap::new(), &facts).await;
    assert!(why(&two).contains('2'), "{two:?}");
    let taken = AttemptFacts { taken_native_ids: vec![later], ..facts };
    assert!(matches!(stage.find(&fourth, &HandleMap::new(), &taken).await, Found::Live { .. }));
}

#[tokio::test]
async fn a_comment_is_found_behind_those_that_came_after_it() {
    let (stage, root) = thread().await;
    stage.bench.control("accounts", &object!({ "network": "instagram", "handle": "fan" })).await;
    let fan = another(&stage.bench, &stage.network, "fan").await;
    let part = stage.part(&root, &root, "mine");
    let facts = attempt();
    assert!(matches!(stage.lost(&part, "accept_then_reset", &facts).await, Found::Live { .. }));
    for n in 0..60 {
        // Even those who repeat its words are not its author.
        stage.say(&fan, &root, if n % 2 == 0 { "mine" } else { "yours" }).await;
    }
    let before = stage.bench.requests("read").await.len();
    let found = stage.find(&part, &HandleMap::new(), &facts).await;
    assert!(matches!(found, Found::Live { .. }), "{found:?}");
    assert_eq!(stage.bench.requests("read").await.len() - before, 2, "fifty at once");
    let stranger = stage.part(&root, &root, "yours");
    let none = stage.find(&stranger, &HandleMap::new(), &facts).await;
    assert!(why(&none).contains("no comment"), "{none:?}");
}

#[tokio::test]
async fn words_that_came_back_otherwise_are_recognised_or_shown_to_a_person() {
    let stage = Stage::of(|bench| adapter(bench, Door::Own), "terse.ana").await;
    let (root, _) = stage.publish(&stage.image("with @bo")).await;
    let facts = attempt();
    let part = stage.part(&root, &root, "  thanks,\n\n@bo  and   @cy ");
    let found = stage.lost(&part, "accept_then_reset", &facts).await;
    let Found::Live { native_id, .. } = found else { panic!("{found:?}") };
    let comments = [("fields", "text")];
    let path = format!("{root}/comments");
    let told = stage.network.api.call(&stage.session, http::Method::GET, &path, &comments);
    let told = stage.network.api.ask(told).await.unwrap();
    assert_eq!(told["data"][0]["text"], "thanks, bo and cy", "the stand-in shows it like that");
    // Other words may be this part's or a person's: that is for a person to say.
    let part = stage.part(&root, &native_id, "thanks again");
    stage.say(&stage.session, &root, "thanks a****").await;
    let changed = stage.find(&part, &HandleMap::new(), &facts).await;
    assert_eq!(why(&changed), "no comment says the same, 1 of the account say something else");
    stage.fault("read", object!({ "kind": "status", "code": 503 })).await;
    assert!(matches!(stage.find(&part, &HandleMap::new(), &facts).await, Found::Unread(_)));

    // The caption of a post is shown like that as well.
    let captioned = stage.image("for @bo");
    let mut kept = Kept::default();
    let ready = stage.prepared(&captioned, &mut kept).await.unwrap();
    stage.fault("publish", object!({ "kind": "accept_then_reset" })).await;
    stage.send(&captioned, &ready).await;
    let found = stage.find(&captioned, &kept.handles, &facts).await;
    assert!(matches!(found, Found::Live { .. }), "{found:?}");
}
