#!/usr/sbin/dtrace -s
/*
 * churn: which targets change, and why?
 *
 * USAGE
 *   overlay-trace --tracer dtrace churn [interval [count]] [--vni N] [--mac MAC]
 *   dtrace -Z -p PID -s churn.d [interval [count [vni [mac]]]]
 *
 * DESCRIPTION
 *   Asks in D what churn.bt asks; its header explains the answer.
 *
 * OVERHEAD
 *   One firing of about a microsecond for each change; frames cost nothing.
 *
 * CAVEATS
 *   Watch overlayd: the provider's name carries the process id of -p.
 */

#pragma D option quiet
#pragma D option defaultargs
#pragma D option strsize=256

dtrace:::BEGIN
{
	printf("Tracing changes of the target table... Ctrl-C ends.\n");
	seconds = 0;
	due = 0;
}

overlay$target:::target-state
/($3 == 0 || arg0 == $3) && ($$4 == "" || copyinstr(arg1) == $$4)/
{
	@changes[arg0, copyinstr(arg2), copyinstr(arg3), copyinstr(arg4)] = count();
	@changes_of_entry[arg0, copyinstr(arg1)] = count();
}

overlay$target:::target-evict
/($3 == 0 || arg0 == $3) && ($$4 == "" || copyinstr(arg2) == $$4)/
{
	@evicted[arg0] = count();
	@evicted_after_idle_ms[arg0] = quantize(arg1 / 1000000);
}

overlay$target:::target-full
/($3 == 0 || arg0 == $3) && ($$4 == "" || copyinstr(arg2) == $$4)/
{
	@refused_by_full_table[arg0] = count();
	@entries_when_full[arg0] = max(arg1);
}

overlay$target:::target-resize
/($3 == 0 || arg1 == $3) && $$4 == ""/
{
	@entries_allowed[arg1] = max(arg4);
}

profile:::tick-1s
/$1 > 0/
{
	seconds++;
	due++;
}

profile:::tick-1s
/$1 > 0 && due == $1/
{
	due = 0;
	printf("\n%u s\n", seconds);
	printa("changes %u %s > %s by %s: %@u\n", @changes);
	printa("changes_of_entry %u %s: %@u\n", @changes_of_entry);
	printa("evicted %u: %@u\n", @evicted);
	printa("refused_by_full_table %u: %@u\n", @refused_by_full_table);
	printa("entries_when_full %u: %@u\n", @entries_when_full);
	printa("entries_allowed %u: %@u\n", @entries_allowed);
	printa("evicted_after_idle_ms %u%@d\n", @evicted_after_idle_ms);
}

profile:::tick-1s
/$1 > 0 && $2 > 0 && seconds >= $1 * $2/
{
	exit(0);
}

dtrace:::END
{
	printf("\n");
	printa("changes %u %s > %s by %s: %@u\n", @changes);
	printa("changes_of_entry %u %s: %@u\n", @changes_of_entry);
	printa("evicted %u: %@u\n", @evicted);
	printa("refused_by_full_table %u: %@u\n", @refused_by_full_table);
	printa("entries_when_full %u: %@u\n", @entries_when_full);
	printa("entries_allowed %u: %@u\n", @entries_allowed);
	printa("evicted_after_idle_ms %u%@d\n", @evicted_after_idle_ms);
}
