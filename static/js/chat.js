// The page of one conversation.
import "./scroll.js";
import "./turns.js";
import "./live.js";
import "./composer.js";
import "./branches.js";
import "./approvals.js";
import "./budget.js";
import "./estimate.js";
