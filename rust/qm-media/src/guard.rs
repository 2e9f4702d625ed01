//! The guards between a call's audio and any use of it, by name.
//!
//! In every build that can open a socket each guard stands, always: [`Guards`] is then a value without content. With the
//! feature `mutants` (tests only, cannot be built together with `io`) a guard can be taken away, to show that some test
//! notices.

/// One thing the engine checks before it keeps, or that it does when the call changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Guard {
    /// Every outside leg has been told, not one of them.
    EveryOutsideLeg,
    /// A proof speaks for the leg it was played to, in its own call.
    ProofOfThisLeg,
    /// A void proof opens nothing.
    ProofNotVoid,
    /// The prompt named this use.
    UseTold,
    /// The prompt named every purpose.
    PurposesTold,
    /// The prompt is one of the line's loaded ones.
    PromptOfLine,
    /// The line's `already-informed` ground covers use and purposes.
    InformedCovers,
    /// No recipients, no recording.
    Recipients,
    /// Nothing opens while the call is held.
    HoldRefuses,
    /// Nothing opens without a lease.
    LeaseRefuses,
    /// Only a prompt sent to its last packet is a proof.
    PromptToItsEnd,
    /// A prompt whose destination changed begins again.
    PromptToOneAddress,
    /// An ICMP refusal during the prompt ends it without a proof.
    RefusalFailsPrompt,
    /// An ICMP refusal just after the prompt voids the proof.
    RefusalVoidsProof,
    /// A source the dialog did not announce voids the proofs of the leg.
    UnannouncedVoids,
    /// `VoidProofs` marks the proofs void.
    VoidMarks,
    /// `VoidProofs` closes the taps.
    VoidCloses,
    /// A new outside leg closes the taps.
    NewPartyCloses,
    /// Only later than the end of the prompt and its playout.
    AfterPlayout,
    /// Only what the kernel got after the tap was opened or resumed.
    AfterOpening,
    /// What is kept waits before it becomes part of the journal.
    HeldBack,
    /// A tap keeps nothing during hold.
    HoldPauses,
    /// Hold drops what is held back.
    HoldDrops,
    /// A tap keeps nothing without a lease.
    LeasePauses,
    /// The end of the lease drops what is held back.
    LeaseDrops,
    /// `keep_held_back: false` and `VoidProofs` drop what is held back.
    CloseDrops,
    /// Nothing is kept of legs that are not connected.
    BridgedOnly,
    /// Packets only from the leg's own source.
    SourceLock,
    /// What fails authentication is nobody's.
    Authentic,
    /// Key presses stay out.
    NoKeys,
    /// What a cut covers does not enter later.
    CutHolds,
    /// A code does not reach the other party.
    CodeSwallowed,
    /// The agent's code makes the call private without asking anybody.
    CodeMakesPrivate,
    /// Private takes back what was said before the finger moved.
    PrivateCuts,
    /// Private drops what is held back.
    PrivateDrops,
    /// Private closes every tap.
    PrivateCloses,
    /// Nothing opens in a private call.
    PrivateRefuses,
    /// What passes in a private call is not counted.
    PrivateUncounted,
    /// What is forbidden ends.
    ForbidCloses,
    /// What is forbidden takes nothing more from what is held back.
    ForbidDrops,
    /// What is forbidden does not begin again.
    ForbidRefuses,
    /// A tap keeps nothing during a pause.
    PausePauses,
    /// A pause drops what is held back.
    PauseDrops,
    /// Nothing opens during a pause.
    PauseRefuses,
    /// What was mixed under speech tells an outside party nothing.
    OverlayTellsNobody,
    /// Nobody listens before the agent has been told.
    NoticeNeeded,
    /// A notice speaks for the one listening tap it was played for.
    NoticeOfThisTap,
    /// A notice is played to the agent, not to the customer.
    NoticeInside,
    /// Another agent has had no notice.
    NoticeNotVoid,
    /// Only later than the end of the notice and its playout.
    AfterNotice,
    /// Listening has a listener.
    ListenerNeeded,
    /// A listener's call has no other party, ever.
    ListenerAlone,
    /// When the listener has gone, his taps close.
    ListenerGoneCloses,
    /// What the listener was about to hear is taken back when the call changes.
    HeardDrops,
    /// Only an outside party's ear makes a receipt.
    ReceiptOutside,
    /// A receipt stands in calls that began before it expired.
    ReceiptFresh,
    /// A receipt is of one customer.
    ReceiptOfSubject,
    /// A receipt is of one line.
    ReceiptOfLine,
    /// A receipt says nothing to whoever comes new into the call.
    ReceiptVoided,
}

impl Guard {
    pub const ALL: [Guard; 59] = [
        Guard::EveryOutsideLeg,
        Guard::ProofOfThisLeg,
        Guard::ProofNotVoid,
        Guard::UseTold,
        Guard::PurposesTold,
        Guard::PromptOfLine,
        Guard::InformedCovers,
        Guard::Recipients,
        Guard::HoldRefuses,
        Guard::LeaseRefuses,
        Guard::PromptToItsEnd,
        Guard::PromptToOneAddress,
        Guard::RefusalFailsPrompt,
        Guard::RefusalVoidsProof,
        Guard::UnannouncedVoids,
        Guard::VoidMarks,
        Guard::VoidCloses,
        Guard::NewPartyCloses,
        Guard::AfterPlayout,
        Guard::AfterOpening,
        Guard::HeldBack,
        Guard::HoldPauses,
        Guard::HoldDrops,
        Guard::LeasePauses,
        Guard::LeaseDrops,
        Guard::CloseDrops,
        Guard::BridgedOnly,
        Guard::SourceLock,
        Guard::Authentic,
        Guard::NoKeys,
        Guard::CutHolds,
        Guard::CodeSwallowed,
        Guard::CodeMakesPrivate,
        Guard::PrivateCuts,
        Guard::PrivateDrops,
        Guard::PrivateCloses,
        Guard::PrivateRefuses,
        Guard::PrivateUncounted,
        Guard::ForbidCloses,
        Guard::ForbidDrops,
        Guard::ForbidRefuses,
        Guard::PausePauses,
        Guard::PauseDrops,
        Guard::PauseRefuses,
        Guard::OverlayTellsNobody,
        Guard::NoticeNeeded,
        Guard::NoticeOfThisTap,
        Guard::NoticeInside,
        Guard::NoticeNotVoid,
        Guard::AfterNotice,
        Guard::ListenerNeeded,
        Guard::ListenerAlone,
        Guard::ListenerGoneCloses,
        Guard::HeardDrops,
        Guard::ReceiptOutside,
        Guard::ReceiptFresh,
        Guard::ReceiptOfSubject,
        Guard::ReceiptOfLine,
        Guard::ReceiptVoided,
    ];
}

/// Which guards stand.
#[derive(Clone, Copy, Debug, Default)]
pub struct Guards {
    #[cfg(feature = "mutants")]
    removed: Option<Guard>,
}

#[cfg(not(feature = "mutants"))]
impl Guards {
    #[inline(always)]
    pub const fn stands(self, _guard: Guard) -> bool {
        true
    }
}

#[cfg(feature = "mutants")]
impl Guards {
    pub const fn without(guard: Guard) -> Guards {
        Guards { removed: Some(guard) }
    }

    pub fn stands(self, guard: Guard) -> bool {
        self.removed != Some(guard)
    }
}
