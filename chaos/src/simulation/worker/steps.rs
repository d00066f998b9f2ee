//! The reversible steps of a delivery, and reads about a lost answer; as in `publisher/src/actors/prepare.rs`.

use bytes::Bytes;
use postmesh_publisher::{
    core::Busy,
    domain::{outcome::Fault, state::State},
    networks::Ready,
};
use rand::RngExt as _;
use uuid::Uuid;

use super::{Actor, Place, Session};
use crate::simulation::{
    network::Asked,
    world::{Op, World},
};

impl World {
    pub(in crate::simulation) fn prepare(&mut self, actor: &mut Actor, place: Place, ids: &[Uuid]) {
        if ids.is_empty() || actor.preparing > 0 || actor.is_refreshing {
            return;
        }
        let mut tasks = Vec::new();
        for id in ids {
            let Some(item) = actor.line.get_mut(*id) else { continue };
            item.busy = Busy::Preparing;
            tasks.push((*id, item.decision.state != State::Unknown));
        }
        actor.preparing += tasks.len();
        self.ask(place, Op::Begin(tasks));
    }

    pub(in crate::simulation) fn begun(
        &mut self,
        actor: &mut Actor,
        place: Place,
        begun: &Result<Vec<Uuid>, ()>,
        tasks: Vec<(Uuid, bool)>,
    ) {
        for (id, begins) in tasks {
            match begun {
                Err(()) => self.prepared(actor, place, id, Some(Err(Fault::Store("away".into())))),
                Ok(begun) if begins && !begun.contains(&id) => self.prepared(actor, place, id, None),
                Ok(_) => {
                    let tokens = actor.session.map_or(0, |session| session.version);
                    let has_container =
                        actor.line.get_mut(id).is_some_and(|item| item.handles.contains_key("container"));
                    self.call_prepare(place, id, begins, tokens, has_container);
                }
            }
        }
    }

    pub(in crate::simulation) fn made(
        &mut self,
        actor: &mut Actor,
        place: Place,
        id: Uuid,
        begins: bool,
        made: Result<Option<String>, Fault>,
    ) {
        match made {
            Err(fault) => self.prepared(actor, place, id, Some(Err(fault))),
            Ok(None) => self.finish(actor, place, id, begins),
            Ok(Some(container)) => {
                let Some(item) = actor.line.get_mut(id) else {
                    actor.preparing -= 1;
                    return;
                };
                let revision = item.stored.revision;
                self.ask(place, Op::SaveHandle { id, revision, begins, value: container });
            }
        }
    }

    /// The request can be built.
    pub(in crate::simulation) fn finish(&mut self, actor: &mut Actor, place: Place, id: Uuid, begins: bool) {
        if begins {
            self.ask(place, Op::Mark(id));
        } else {
            self.prepared(actor, place, id, Some(Ok(())));
        }
    }

    pub(in crate::simulation) fn prepared(
        &mut self,
        actor: &mut Actor,
        place: Place,
        id: Uuid,
        result: Option<Result<(), Fault>>,
    ) {
        actor.preparing = actor.preparing.saturating_sub(1);
        let (policy, now, jitter) = (self.policy, self.clock(place.worker), self.rng.random());
        let Some(item) = actor.line.get_mut(id).filter(|item| item.busy == Busy::Preparing) else { return };
        let Some(result) = result else {
            actor.line.remove(id);
            actor.is_behind = true;
            return;
        };
        let container = item.handles.get("container").and_then(|value| value.as_str()).unwrap_or_default();
        let request = Bytes::from(container.to_owned());
        let result = result.map(|()| Ready { request, request_sha256: [0; 32] });
        let turn = item.prepared(result, &policy, now, jitter);
        self.carry_out(actor, place, turn);
    }

    pub(in crate::simulation) fn look(
        &mut self,
        actor: &mut Actor,
        place: Place,
        session: Session,
        id: Uuid,
    ) {
        if actor.is_refreshing {
            return;
        }
        let Some(item) = actor.line.get_mut(id) else { return };
        item.busy = Busy::Looking;
        let container = item.handles.get("container").and_then(|value| value.as_str()).unwrap_or_default();
        let asked = Asked { target: id, key: item.work.key.clone(), container: container.to_owned() };
        self.call_look(place, asked, session.version);
    }
}
