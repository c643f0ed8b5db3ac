"""Reasons in plain words, for whoever asks why a message did not go out."""

from app.messages.states import Reason

REASON: dict[str, str] = {
    Reason.OPTED_OUT: "This person has asked for no more messages (STOP).",
    Reason.EXPIRED: "Its time was over before it could be sent.",
    Reason.MISSED: "Bellhop was not running at its time.",
    Reason.REJECTED: "It was refused for good.",
    Reason.ATTEMPTS_EXHAUSTED: "None of its tries was successful.",
    Reason.THROTTLED: "The carrier asked us again and again to slow down.",
    Reason.HELD_UNKNOWN: "Nobody could tell whether it had gone out, so it was not sent a second time.",
    Reason.CANCELLED_BY_CALLER: "Somebody called it off.",
    Reason.RECURRENCE_PAUSED: "Its recurring message was paused.",
    Reason.RECURRENCE_CANCELLED: "Its recurring message was cancelled.",
    Reason.BATCH_CANCELLED: "The batch that it belongs to was called off.",
    Reason.SUPERSEDED: "Something took its place: a newer plan of the appointment, or another reminder at that moment.",
    Reason.APPOINTMENT_CANCELLED: "The appointment was cancelled.",
    Reason.BOOKED_LATE: "When the appointment was booked, the time for this one had passed already.",
    Reason.AT_APPOINTMENT_TIME: "It would have come when the appointment begins.",
    Reason.QUIET_HOURS: "It fell into the quiet hours, and after them it would have been too late.",
    Reason.NO_ADDRESS: "There is no number or address of this person for this channel.",
    Reason.ALREADY_MARKED: "Somebody else has marked this reminder as sent.",
    Reason.MISSING_FIELD: "Its text needs something that is not known.",
    Reason.TOO_LONG: "Its text came out longer than its channel takes.",
    Reason.WHATSAPP_WINDOW: "WhatsApp takes free texts only within a day of the person's last message, "
    "and there is no approved template for this one.",
    Reason.CHANNEL_UNAVAILABLE: "This channel is not set up.",
    Reason.CAP_REACHED: "The workspace has used up what it allows itself to send.",
}
