"""Pages of the conversation."""

from django.urls import URLPattern, path

from threads import approval_views, branch_views, file_views, frame_views, list_views, views

urlpatterns: list[URLPattern] = [
    path("", views.home, name="home"),
    path("c/new", views.new_chat, name="new-chat"),
    path("c/all", list_views.all_chats, name="all-chats"),
    path("c/archived", list_views.archived, name="archived"),
    path("c/turns/<uuid:turn_id>/withdraw", branch_views.withdraw, name="withdraw"),
    path("c/turns/<uuid:turn_id>/edit", branch_views.edit, name="edit-turn"),
    path("c/turns/<uuid:turn_id>/regenerate", branch_views.regenerate, name="regenerate"),
    path("c/turns/<uuid:turn_id>/switch", branch_views.switch, name="switch"),
    path("c/turns/<uuid:turn_id>/rate", branch_views.rate, name="rate"),
    path("c/turns/<uuid:turn_id>/fork", branch_views.fork, name="fork"),
    path("c/turns/<uuid:turn_id>/delete", branch_views.delete, name="delete-turn"),
    path("c/turns/<uuid:turn_id>/undo-delete", branch_views.undo_delete, name="undo-delete-turn"),
    path("c/summaries/<uuid:compaction_id>/undo", branch_views.undo_summary, name="undo-summary"),
    path("c/approvals/<uuid:approval_id>", approval_views.show, name="approval"),
    path("c/approvals/<uuid:approval_id>/decide", approval_views.decide, name="decide-approval"),
    path("c/approvals/<uuid:approval_id>/answer", approval_views.answer, name="answer-approval"),
    path("c/calls/<uuid:turn_id>/<path:tool_use_id>", file_views.tool_call, name="tool-call"),
    path("c/files/<uuid:file_id>", file_views.stored_file, name="stored-file"),
    path("c/<uuid:thread_id>", views.thread, name="thread"),
    path("c/<uuid:thread_id>/older", views.older, name="older"),
    path("c/<uuid:thread_id>/send", views.send, name="send"),
    path("c/<uuid:thread_id>/stop", views.stop, name="stop"),
    path("c/<uuid:thread_id>/text/<int:seq>", views.message_text, name="message-text"),
    path("c/<uuid:thread_id>/rename", list_views.rename, name="rename"),
    path("c/<uuid:thread_id>/pin", list_views.pin, name="pin"),
    path("c/<uuid:thread_id>/archive", list_views.archive, name="archive"),
    path("c/<uuid:thread_id>/delete", list_views.delete, name="delete"),
    path("c/<uuid:thread_id>/undo", list_views.undo_delete, name="undo-delete"),
    path("frame/image", frame_views.frame_image, name="frame-image"),
    path("frame/diagram", frame_views.frame_diagram, name="frame-diagram"),
]
