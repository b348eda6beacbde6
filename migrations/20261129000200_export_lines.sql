-- An export may be asked for as lines of JSON, too.
alter table export_job drop constraint export_job_format_check;
alter table export_job add constraint export_job_format_check
    check (format in ('csv', 'html', 'jsonl', 'rsmf'));
