// Where pages get their data. Pages ask a source and do not know which one it is:
//
//   EmbeddedSource (embedded_source.js)  the data inside a report file
//   FolderSource   (folder_source.js)    the routes of `duologue view`, over a folder of results
//   ApiSource      (api_source.js)       the REST API of `duologue serve`
//
// A source implements the methods of Source below. What a host cannot do, its source does not have: pages check with
// `can(source, "labels")` before they offer it. Every method returns a promise and rejects with a SourceError.

/**
 * @typedef {Object} Rate  A pass rate over decided runs, with its interval. Shares are 0 to 1.
 * @property {?number} value  null if nothing was decided
 * @property {number} low
 * @property {number} high
 * @property {number} passed
 * @property {number} decided
 * @property {number} undecided
 * @property {number} errors
 * @property {number} cancelled
 * @property {number} confidence
 *
 * @typedef {Object} Totals  Test cases by outcome; runs counts all trials.
 * @property {number} cases
 * @property {number} runs
 * @property {number} passed
 * @property {number} failed
 * @property {number} undecided
 * @property {number} errors
 * @property {number} cancelled
 * @property {number} not_run
 *
 * @typedef {Object} ExecutionRow  An execution in a list.
 * @property {string} id  how the source calls it; opaque to pages
 * @property {string} name  what people call it: the name of its folder, or its id
 * @property {string} suite
 * @property {string} started  ISO 8601
 * @property {number} seconds
 * @property {("running"|"ended"|"interrupted"|"unreadable")} state
 * @property {?number} exit  exit code; null while it runs
 * @property {Totals} totals
 * @property {Rate} rate
 * @property {number} cost  US dollars
 * @property {number} unpriced  calls without a known price
 * @property {number} tokens
 * @property {?string} commit
 * @property {?string} who
 * @property {?string} problem  why it cannot be read
 *
 * @typedef {Object} ExecutionList
 * @property {ExecutionRow[]} rows
 * @property {number} total  how many match the filters
 * @property {number} all  how many there are without a filter
 * @property {string[]} suites  that can be chosen
 * @property {?string[]} [states]  that can be chosen; all where it is missing
 * @property {string} [folder]  whose results these are
 * @property {number} [left]  results that are still being read
 * @property {boolean} [ready]  false until the first look at the folder is over
 * @property {string} [cursor]  see Execution
 *
 * @typedef {Object} Execution  One execution without its runs, as duologue.reports.html.overview makes it.
 * @property {string} id
 * @property {string} [key]  how the source calls it, where that is not `id`
 * @property {string} suite
 * @property {string} path
 * @property {string} started
 * @property {number} seconds
 * @property {number} exit
 * @property {boolean} [running]
 * @property {number} [open]  runs in progress, which the list of runs has as well
 * @property {{id: string, title: string}[]} [underWay]  the runs in progress
 * @property {boolean} [interrupted]  it ended before its plan did
 * @property {string} [folder]  with which it can be resumed
 * @property {string} [name]  what people call it; of the service
 * @property {?string} [evalId]  the eval that it is a launch of; of the service
 * @property {Totals} totals
 * @property {{tokens: number, cost: number, unpriced: number}} spent
 * @property {{runs: Rate, checks: Object[], pass_k: Object[], spared: number}} rates
 * @property {{agents: string[], rows: MatrixRow[], total: number}} matrix  the first rows; the rest by matrix()
 * @property {Object[]} attention  runs that did not pass, one for each test case
 * @property {number} attentionTotal
 * @property {{reason: string, count: number, runs: {id: string, title: string, outcome: string}[]}[]} reasons
 * @property {Object[]} trials  test cases with several trials, the first of trialsTotal; each with its first runs
 * @property {number} trialsTotal
 * @property {Object<string, string[]>} filters  the values that runs can be filtered by
 * @property {string[]} missing  titles of test cases that were not run; the first of missingTotal
 * @property {number} missingTotal
 * @property {string[]} problems  what could not be read, one sentence each
 * @property {number} [again]  seconds after which to ask again, where the host has not looked since it was asked
 * @property {string} [cursor]  from which events() goes on, so that nothing is missed and nothing is asked for twice
 *
 * @typedef {Object} MatrixRow
 * @property {string} scenario
 * @property {string} varied  persona, region and so on
 * @property {Object<string, Cell>} cells  by agent
 *
 * @typedef {Object} Cell  A test case with its trials.
 * @property {string} title
 * @property {string} outcome
 * @property {number} passed
 * @property {number} runs
 * @property {?string} run  the id of its first run
 *
 * @typedef {Object} RunLine  A run in a list.
 * @property {string} id
 * @property {string} title
 * @property {string} scenario
 * @property {?string} agent
 * @property {?string} persona
 * @property {string} outcome  or "running"
 * @property {number} seconds
 * @property {number} trial
 * @property {number} trials
 * @property {string} reason
 * @property {Hit} [hit]  where its conversation has the words that are looked for
 *
 * @typedef {Object} Hit
 * @property {?string} message  the first message that has them; null if another text of the run does
 * @property {string} before
 * @property {string} found
 * @property {string} after
 *
 * @typedef {{id: string, trial: number, outcome: string}} Trial  A run among those of its test case.
 *
 * @typedef {Object} RunPage
 * @property {RunLine[]} runs
 * @property {number} offset  of the first of them in the filtered list
 * @property {number} total  how many match the filter
 * @property {number} all  how many there are without a filter
 * @property {number} at  where the run is that was asked for with `around`; -1 if it does not match
 * @property {{done: number, of: number}} [searched]  how many of how many conversations were looked into for `q`: a
 *   host stops after a while, and goes on when it is asked with `further`
 *
 * @typedef {Object} Run  Everything about one run, as duologue.reports.html.data.run_data makes it, and
 * @property {string[]} prompts  the texts of the system prompts
 * @property {boolean} [running]  it is not over: more comes by events()
 *
 * @typedef {Object} Event  Something happened. Each has a cursor, and comes once and in order.
 * @property {string} cursor
 * @property {("run"|"execution"|"journal"|"hello")} kind
 *
 * @typedef {Object} LabelQueue  Decisions of judges, in the order in which people label them.
 * @property {string} rater  who looks at it
 * @property {{run: string, title: string, criterion: string, decision: string, reason: string, cites: string[],
 *   label: ?string, note: string, others: {rater: string, label: string, note: string}[]}[]} items
 * @property {{rater: string, labels: number}[]} raters  the others
 * @property {?{criteria: Object[], remarks: string[]}} agreement  of judge and people
 * @property {?{head: string[], rows: string[][], remarks: string[]}} calibration  the same with corrected rates
 * @property {string} [file]  where labels are kept
 * @property {string} [state]  of the labels, for `labels` of events()
 *
 * @typedef {Object} Watched
 * @property {string} [since]  a cursor
 * @property {string} [run]  only this run
 * @property {(boolean|string)} [labels]  also what people say of judges: true, or the state that is known
 *
 * @typedef {{offset: number, limit: number, around?: string, further?: true}} Range
 *   around: the id of a run that is looked for. further: go on with a search that has stopped
 *
 * @typedef {Object} Source
 * @property {function(Range, URLSearchParams): Promise<ExecutionList>} [executions]
 * @property {function(string): Promise<Execution>} execution
 * @property {function(string, Range): Promise<MatrixRow[]>} matrix  in the order of the plan
 * @property {function(string): Promise<{agents: Object[]}>} figures  cost and latency by agent; may take seconds
 * @property {function(string, Range, URLSearchParams): Promise<RunPage>} runs
 * @property {function(string): Promise<Object>} [change]  what changed since the execution of the suite before it
 * @property {function(string, string): Promise<Run>} run
 * @property {function(string, string): Promise<{passRate: ?number, runs: Trial[]}>} trials  of the same test case
 * @property {function(string, string): Promise<Object[]>} [calls]  model calls of a run, with request and response
 * @property {function(string, Object): Promise<{id: number}>} [fork]  continues a run that is over; the new execution
 * @property {function(): Promise<{kind: string, id: string, name: string}[]>} [forkAgents]  what it can be forked with
 * @property {function(?string, Watched, function(Event), function(boolean)): function()} [events]  of an execution, and
 *   of the list of all without an id. It calls back for every event, and with true or false when the connection comes
 *   or goes; returns what ends it
 * @property {function(string, string): Promise<Object>} [compare]
 * @property {function(string): Promise<{rows: ExecutionRow[], total: number}>} [trend]  of a suite, oldest first
 * @property {function(string): Promise<LabelQueue>} [labels]
 * @property {function(string, {run, criterion, label, note, rater}): Promise<Object>} [setLabel]
 */

/** A page could not get what it asked for. `status` is that of HTTP, or 0 if the host does not answer. */
export class SourceError extends Error {
  constructor(message, status = 0) {
    super(message);
    this.name = "SourceError";
    this.status = status;
  }
}

/** Whether a source offers something that not all of them do. */
export function can(source, method) {
  return typeof source[method] === "function";
}

/** The filters of a list of runs, by the name that the address and the source have for them. */
export const FILTERS = { scenario: "scenario", agent: "agent", persona: "persona", tag: "tag" };
