"""Where people plan: what each vendor's API reference says of the request and the answer."""

from tests.tools.catalogue.case import Account, Exchange, case
from tests.tools.catalogue.vendor import Answer

ADF = {"type": "doc", "version": 1, "content": [{"type": "paragraph", "content": [{"type": "text", "text": "It broke."}]}]}
PARAGRAPH = {"object": "block", "type": "paragraph", "paragraph": {"rich_text": [{"type": "text", "text": {"content": "Hello"}}]}}

ACCOUNTS = {
    "github": Account(
        {"token": "canary-github-token"},
        {"authorization": "Bearer canary-github-token", "accept": "application/vnd.github+json", "x-github-api-version": "2022-11-28"},
        Answer({"message": "Validation Failed", "errors": [{"resource": "Issue", "code": "missing_field"}]}, 422),
        "Validation Failed",
    ),
    "gitlab": Account(
        {"token": "canary-gitlab-token"},
        {"private-token": "canary-gitlab-token"},
        Answer({"message": {"title": ["can't be blank"]}}, 400),
        "can't be blank",
    ),
    "linear": Account(
        {"api_key": "canary-linear-key"},
        {"authorization": "canary-linear-key", "content-type": "application/json"},
        Answer({"errors": [{"message": "Entity not found: Team", "extensions": {"code": "INPUT_ERROR"}}]}),
        "Entity not found: Team",
    ),
    "jira": Account(
        {"site": "acme", "email": "ada@example.com", "api_token": "canary-jira-token"},
        {"authorization": "Basic YWRhQGV4YW1wbGUuY29tOmNhbmFyeS1qaXJhLXRva2Vu"},
        Answer({"errorMessages": [], "errors": {"project": "valid project is required"}}, 400),
        "valid project is required",
    ),
    "asana": Account(
        {"token": "canary-asana-token"},
        {"authorization": "Bearer canary-asana-token"},
        Answer({"errors": [{"message": "project: Not a recognized ID: 7"}]}, 400),
        "project: Not a recognized ID: 7",
    ),
    "trello": Account(
        {"api_key": "canary-trello-key", "token": "canary-trello-token"},
        {"authorization": 'OAuth oauth_consumer_key="canary-trello-key", oauth_token="canary-trello-token"'},
        Answer("invalid value for idList", 400),
        "invalid value for idList",
    ),
    "clickup": Account(
        {"token": "canary-clickup-token"},
        {"authorization": "canary-clickup-token"},
        Answer({"err": "List not found", "ECODE": "ITEM_013"}, 404),
        "List not found",
    ),
    "todoist": Account(
        {"token": "canary-todoist-token"},
        {"authorization": "Bearer canary-todoist-token"},
        Answer({"error": "Invalid argument value", "error_code": 20}, 400),
        "Invalid argument value",
    ),
    "notion": Account(
        {"token": "canary-notion-token"},
        {"authorization": "Bearer canary-notion-token", "notion-version": "2022-06-28"},
        Answer({"object": "error", "status": 404, "code": "object_not_found", "message": "Could not find block with ID"}, 404),
        "Could not find block with ID",
    ),
    "airtable": Account(
        {"token": "canary-airtable-token"},
        {"authorization": "Bearer canary-airtable-token"},
        Answer({"error": {"type": "UNKNOWN_FIELD_NAME", "message": 'Unknown field name: "Stat"'}}, 422),
        'Unknown field name: "Stat"',
    ),
}

CASES = [
    case(
        "github-create-issue",
        {"owner": "octo", "repo": "app", "title": "It broke", "body": "See log", "labels": ["bug"]},
        Exchange(
            "POST https://api.github.com/repos/octo/app/issues",
            {"number": 7, "html_url": "https://github.com/octo/app/issues/7", "title": "It broke", "state": "open", "id": 1},
            sends={"title": "It broke", "body": "See log", "labels": ["bug"]},
            status=201,
        ),
        gives={"number": 7, "url": "https://github.com/octo/app/issues/7", "title": "It broke", "state": "open"},
    ),
    case(
        "github-comment",
        {"owner": "octo", "repo": "app", "number": 7, "body": "Me too"},
        Exchange(
            "POST https://api.github.com/repos/octo/app/issues/7/comments",
            {"id": 1, "html_url": "https://github.com/octo/app/issues/7#issuecomment-1"},
            sends={"body": "Me too"},
            status=201,
        ),
        gives={"id": 1, "url": "https://github.com/octo/app/issues/7#issuecomment-1"},
    ),
    case(
        "github-create-pull-request",
        {"owner": "octo", "repo": "app", "title": "Fix", "head": "fix", "base": "main"},
        Exchange(
            "POST https://api.github.com/repos/octo/app/pulls",
            {"number": 8, "html_url": "https://github.com/octo/app/pull/8", "title": "Fix", "state": "open", "draft": False},
            sends={"title": "Fix", "head": "fix", "base": "main", "draft": False},
            status=201,
        ),
        gives={"number": 8, "url": "https://github.com/octo/app/pull/8", "title": "Fix", "state": "open", "draft": False},
    ),
    case(
        "github-list-pull-requests",
        {"owner": "octo", "repo": "app"},
        Exchange(
            "GET https://api.github.com/repos/octo/app/pulls",
            [{"number": 8, "title": "Fix", "user": {"login": "ada"}, "head": {"ref": "fix"}, "base": {"ref": "main"}}],
            query={"state": "open", "per_page": "20"},
        ),
        gives=[{"number": 8, "title": "Fix", "author": "ada", "branch": "fix", "base": "main"}],
    ),
    case(
        "github-search",
        {"kind": "issues", "query": "repo:octo/app is:open crash & burn", "limit": 5},
        Exchange(
            "GET https://api.github.com/search/issues",
            {"total_count": 1, "items": [{"number": 7, "title": "Crash", "user": {"login": "ada"}, "html_url": "https://github.com/x"}]},
            query={"q": "repo:octo/app is:open crash & burn", "per_page": "5"},
        ),
        gives=[{"number": 7, "title": "Crash", "author": "ada", "url": "https://github.com/x"}],
    ),
    case(
        "github-read-file",
        {"owner": "octo", "repo": "app", "path": "docs/Über uns.md", "ref": "main"},
        Exchange(
            "GET https://api.github.com/repos/octo/app/contents/docs/%C3%9Cber%20uns.md",
            "# About",
            query={"ref": "main"},
            headers={"accept": "application/vnd.github.raw+json"},
        ),
        gives="# About",
    ),
    case(
        "github-write-file",
        {"owner": "octo", "repo": "app", "path": "a.txt", "content": "hi", "message": "Say hi"},
        Exchange(
            "PUT https://api.github.com/repos/octo/app/contents/a.txt",
            {"content": {"path": "a.txt", "html_url": "https://github.com/a", "sha": "s1"}, "commit": {"sha": "c1"}},
            sends={"message": "Say hi", "content": "aGk="},
            status=201,
        ),
        gives={"path": "a.txt", "url": "https://github.com/a", "sha": "s1", "commit": "c1"},
    ),
    case(
        "gitlab-create-issue",
        {"project": "group/app", "title": "It broke", "labels": "bug,urgent"},
        Exchange(
            "POST https://gitlab.com/api/v4/projects/group%2Fapp/issues",
            {"iid": 3, "web_url": "https://gitlab.com/i/3", "title": "It broke", "state": "opened"},
            sends={"title": "It broke", "labels": "bug,urgent"},
            status=201,
        ),
        gives={"number": 3, "url": "https://gitlab.com/i/3", "title": "It broke", "state": "opened"},
    ),
    case(
        "gitlab-search-issues",
        {"project": "42", "search": "crash"},
        Exchange(
            "GET https://gitlab.com/api/v4/projects/42/issues",
            [{"iid": 3, "title": "Crash", "state": "opened", "author": {"username": "ada"}, "assignees": [{"username": "bob"}]}],
            query={"search": "crash", "state": "opened", "per_page": "20"},
        ),
        gives=[{"number": 3, "title": "Crash", "state": "opened", "author": "ada", "assignees": ["bob"]}],
    ),
    case(
        "gitlab-list-merge-requests",
        {"project": "42", "state": "merged", "limit": 1},
        Exchange(
            "GET https://gitlab.com/api/v4/projects/42/merge_requests",
            [{"iid": 9, "title": "Fix", "source_branch": "fix", "target_branch": "main"}],
            query={"state": "merged", "per_page": "1"},
        ),
        gives=[{"number": 9, "title": "Fix", "branch": "fix", "target": "main"}],
    ),
    case(
        "linear-create-issue",
        {"team_id": "T1", "title": "Login fails", "priority": 2},
        Exchange(
            "POST https://api.linear.app/graphql",
            {
                "data": {
                    "issueCreate": {
                        "success": True,
                        "issue": {"id": "u1", "identifier": "ENG-5", "title": "Login fails", "url": "https://l"},
                    }
                }
            },
            sends={
                "query": "mutation Create($input: IssueCreateInput!) "
                "{ issueCreate(input: $input) { success issue { id identifier title url } } }",
                "variables": {"input": {"teamId": "T1", "title": "Login fails", "priority": 2}},
            },
        ),
        gives={"identifier": "ENG-5", "title": "Login fails", "url": "https://l", "id": "u1"},
    ),
    case(
        "linear-search-issues",
        {"query": "login", "limit": 3},
        Exchange(
            "POST https://api.linear.app/graphql",
            {"data": {"searchIssues": {"nodes": [{"identifier": "ENG-5", "title": "Login", "state": {"name": "Todo"}, "assignee": None}]}}},
            sends={
                "query": "query Search($term: String!, $first: Int) { searchIssues(term: $term, first: $first) "
                "{ nodes { identifier title url priorityLabel state { name } assignee { name } updatedAt } } }",
                "variables": {"term": "login", "first": 3},
            },
        ),
        gives=[{"identifier": "ENG-5", "title": "Login", "state": "Todo"}],
    ),
    case(
        "linear-list-teams",
        {},
        Exchange(
            "POST https://api.linear.app/graphql",
            {"data": {"teams": {"nodes": [{"id": "T1", "key": "ENG", "name": "Engineering"}]}}},
            sends={"query": "query Teams { teams { nodes { id key name } } }"},
        ),
        gives=[{"id": "T1", "key": "ENG", "name": "Engineering"}],
    ),
    case(
        "jira-create-issue",
        {"project": "APP", "summary": "Crash", "description": "It broke.\n\n", "issue_type": "Bug"},
        Exchange(
            "POST https://acme.atlassian.net/rest/api/3/issue",
            {"id": "1", "key": "APP-1", "self": "https://acme.atlassian.net/rest/api/3/issue/1"},
            sends={"fields": {"project": {"key": "APP"}, "summary": "Crash", "issuetype": {"name": "Bug"}, "description": ADF}},
            status=201,
        ),
        gives={"key": "APP-1", "id": "1"},
    ),
    case(
        "jira-search-issues",
        {"jql": "project = APP"},
        Exchange(
            "GET https://acme.atlassian.net/rest/api/3/search/jql",
            {"issues": [{"key": "APP-1", "fields": {"summary": "Crash", "status": {"name": "To Do"}, "assignee": None}}], "isLast": True},
            query={"jql": "project = APP", "maxResults": "20", "fields": "summary,status,assignee,priority,updated"},
        ),
        gives=[{"key": "APP-1", "summary": "Crash", "status": "To Do"}],
    ),
    case(
        "jira-comment",
        {"key": "APP-1", "body": "It broke."},
        Exchange(
            "POST https://acme.atlassian.net/rest/api/3/issue/APP-1/comment",
            {"id": "9", "created": "2026-01-01", "author": {"displayName": "Ada"}},
            sends={"body": ADF},
            status=201,
        ),
        gives={"id": "9", "created": "2026-01-01", "author": "Ada"},
    ),
    case(
        "asana-create-task",
        {"project": "77", "name": "Call", "due_on": "2026-03-31"},
        Exchange(
            "POST https://app.asana.com/api/1.0/tasks",
            {"data": {"gid": "1", "name": "Call", "permalink_url": "https://a"}},
            sends={"data": {"name": "Call", "projects": ["77"], "due_on": "2026-03-31"}},
            status=201,
        ),
        gives={"gid": "1", "name": "Call", "url": "https://a"},
    ),
    case(
        "asana-list-tasks",
        {"project": "77"},
        Exchange(
            "GET https://app.asana.com/api/1.0/tasks",
            {"data": [{"gid": "1", "name": "Call", "completed": False, "assignee": {"name": "Ada"}}]},
            query={"project": "77", "limit": "20", "opt_fields": "name,completed,due_on,assignee.name,permalink_url"},
        ),
        gives=[{"gid": "1", "name": "Call", "completed": False, "assignee": "Ada"}],
    ),
    case(
        "trello-create-card",
        {"list_id": "L1", "name": "Call Bob & Eve"},
        Exchange(
            "POST https://api.trello.com/1/cards",
            {"id": "c1", "name": "Call Bob & Eve", "shortUrl": "https://trello.com/c/1"},
            query={"idList": "L1", "name": "Call Bob & Eve"},
        ),
        gives={"id": "c1", "name": "Call Bob & Eve", "url": "https://trello.com/c/1"},
    ),
    case(
        "trello-list-cards",
        {"board_id": "B1"},
        Exchange(
            "GET https://api.trello.com/1/boards/B1/cards",
            [{"id": "c1", "name": "Call", "desc": "", "due": None, "idList": "L1", "shortUrl": "https://t"}],
            query={"fields": "name,desc,due,idList,shortUrl"},
        ),
        gives=[{"id": "c1", "name": "Call", "desc": "", "list_id": "L1", "url": "https://t"}],
    ),
    case(
        "clickup-create-task",
        {"list_id": "9", "name": "Call", "description": "**now**", "priority": 1},
        Exchange(
            "POST https://api.clickup.com/api/v2/list/9/task",
            {"id": "86a", "name": "Call", "status": {"status": "to do"}, "url": "https://c"},
            sends={"name": "Call", "markdown_content": "**now**", "priority": 1},
        ),
        gives={"id": "86a", "name": "Call", "status": "to do", "url": "https://c"},
    ),
    case(
        "clickup-list-tasks",
        {"list_id": "9"},
        Exchange(
            "GET https://api.clickup.com/api/v2/list/9/task",
            {"tasks": [{"id": "86a", "name": "Call", "status": {"status": "to do"}, "assignees": [{"username": "Ada"}]}]},
            query={"include_closed": "false"},
        ),
        gives=[{"id": "86a", "name": "Call", "status": "to do", "assignees": ["Ada"]}],
    ),
    case(
        "todoist-create-task",
        {"content": "Call", "due_string": "tomorrow at 12"},
        Exchange(
            "POST https://api.todoist.com/api/v1/tasks",
            {"id": "6X", "content": "Call", "due": {"string": "tomorrow at 12", "date": "2026-01-02"}, "priority": 1},
            sends={"content": "Call", "due_string": "tomorrow at 12"},
        ),
        gives={"id": "6X", "content": "Call", "due": "tomorrow at 12", "priority": 1},
    ),
    case(
        "todoist-list-tasks",
        {"filter": "today & p1"},
        Exchange(
            "GET https://api.todoist.com/api/v1/tasks/filter",
            {"results": [{"id": "6X", "content": "Call", "description": "", "priority": 4, "project_id": "p"}], "next_cursor": None},
            query={"query": "today & p1", "limit": "20"},
        ),
        gives=[{"id": "6X", "content": "Call", "description": "", "priority": 4, "project_id": "p"}],
    ),
    case(
        "notion-append-page",
        {"page_id": "abc", "text": "Hello\n\n"},
        Exchange(
            "PATCH https://api.notion.com/v1/blocks/abc/children",
            {"object": "list", "results": [{"id": "b1", "type": "paragraph"}]},
            sends={"children": [PARAGRAPH]},
        ),
        gives=[{"id": "b1", "type": "paragraph"}],
    ),
    case(
        "notion-create-page",
        {"parent_id": "abc", "title": "Notes", "text": "Hello"},
        Exchange(
            "POST https://api.notion.com/v1/pages",
            {"object": "page", "id": "p1", "url": "https://notion.so/p1"},
            sends={
                "parent": {"page_id": "abc"},
                "properties": {"title": {"title": [{"text": {"content": "Notes"}}]}},
                "children": [PARAGRAPH],
            },
        ),
        gives={"id": "p1", "url": "https://notion.so/p1"},
    ),
    case(
        "notion-search",
        {"query": "Notes"},
        Exchange(
            "POST https://api.notion.com/v1/search",
            {
                "results": [
                    {"id": "p1", "object": "page", "url": "https://n", "properties": {"title": {"title": [{"plain_text": "Notes"}]}}}
                ]
            },
            sends={"query": "Notes", "page_size": 10},
        ),
        gives=[{"id": "p1", "object": "page", "url": "https://n", "title": ["Notes"]}],
    ),
    case(
        "notion-read-page",
        {"page_id": "abc"},
        Exchange(
            "GET https://api.notion.com/v1/blocks/abc/children",
            {
                "results": [
                    {"type": "heading_1", "heading_1": {"rich_text": [{"plain_text": "Plan"}]}},
                    {"type": "divider", "divider": {}},
                    {"type": "paragraph", "paragraph": {"rich_text": [{"plain_text": "Go "}, {"plain_text": "on"}]}},
                ]
            },
            query={"page_size": "100"},
        ),
        gives="Plan\nGo on",
    ),
    case(
        "airtable-list-records",
        {"base_id": "app1", "table": "To do", "formula": "{Status} = 'Open'"},
        Exchange(
            "GET https://api.airtable.com/v0/app1/To%20do",
            {"records": [{"id": "rec1", "createdTime": "2026-01-01", "fields": {"Name": "Call"}}]},
            query={"maxRecords": "20", "filterByFormula": "{Status} = 'Open'"},
        ),
        gives=[{"id": "rec1", "fields": {"Name": "Call"}, "created": "2026-01-01"}],
    ),
    case(
        "airtable-create-record",
        {"base_id": "app1", "table": "Tasks", "fields": {"Name": "{title}", "Done": False, "Note": None}},
        Exchange(
            "POST https://api.airtable.com/v0/app1/Tasks",
            {"id": "rec2", "createdTime": "2026-01-01", "fields": {"Name": "{title}"}},
            sends={"fields": {"Name": "{title}", "Done": False, "Note": None}, "typecast": True},
        ),
        gives={"id": "rec2", "fields": {"Name": "{title}"}, "created": "2026-01-01"},
    ),
]
