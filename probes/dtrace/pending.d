#!/usr/sbin/dtrace -s
/*
 * pending: how deep are the queues of frames that wait for an answer?
 *
 * USAGE
 *   overlay-trace --tracer dtrace pending [interval [count]] [--vni N] [--mac MAC]
 *   dtrace -Z -p PID -s pending.d [interval [count [vni [mac]]]]
 *
 * DESCRIPTION
 *   Asks in D what pending.bt asks; its header explains the answer.
 *
 * OVERHEAD
 *   One firing for each frame that waits, two for each lookup. While anything
 *   is watched here, each frame that leaves or is dropped costs a firing of
 *   about a microsecond too.
 *
 * CAVEATS
 *   Watch overlayd: the provider's name carries the process id of -p. A
 *   lookup that is withdrawn stays in dynvarsize until the script ends.
 */

#pragma D option quiet
#pragma D option defaultargs
#pragma D option strsize=256
#pragma D option dynvarsize=16m

dtrace:::BEGIN
{
	printf("Tracing frames that wait for an answer... Ctrl-C ends.\n");
	seconds = 0;
	due = 0;
}

overlay$target:::target-queue
/($3 == 0 || arg1 == $3) && ($$4 == "" || copyinstr(arg4) == $$4)/
{
	since[arg0] = timestamp;
	@waited[arg1, copyinstr(arg4)] = count();
	@deepest_frames[arg1, copyinstr(arg4)] = max(arg3);
	@deepest_bytes[arg1, copyinstr(arg4)] = max(arg2);
}

overlay$target:::lookup-start
/since[arg1]/
{
	asks[arg0] = arg1;
}

overlay$target:::lookup-done
/asks[arg0] && (copyinstr(arg3) == "inject" || copyinstr(arg3) == "resend")/
{
	since[asks[arg0]] = 0;
}

overlay$target:::lookup-done
/asks[arg0]/
{
	asks[arg0] = 0;
}

overlay$target:::lookup-timeout
/asks[arg0]/
{
	asks[arg0] = 0;
}

overlay$target:::encap
/since[arg0]/
{
	@us_waited[arg1] = quantize((timestamp - since[arg0]) / 1000);
	since[arg0] = 0;
}

overlay$target:::drop
/since[arg0]/
{
	@dropped_while_waiting[arg2, copyinstr(arg4)] = count();
	since[arg0] = 0;
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
	printa("waited %u %s: %@u\n", @waited);
	printa("deepest_frames %u %s: %@u\n", @deepest_frames);
	printa("deepest_bytes %u %s: %@u\n", @deepest_bytes);
	printa("dropped_while_waiting %u %s: %@u\n", @dropped_while_waiting);
	printa("us_waited %u%@d\n", @us_waited);
}

profile:::tick-1s
/$1 > 0 && $2 > 0 && seconds >= $1 * $2/
{
	exit(0);
}

dtrace:::END
{
	printf("\n");
	printa("waited %u %s: %@u\n", @waited);
	printa("deepest_frames %u %s: %@u\n", @deepest_frames);
	printa("deepest_bytes %u %s: %@u\n", @deepest_bytes);
	printa("dropped_while_waiting %u %s: %@u\n", @dropped_while_waiting);
	printa("us_waited %u%@d\n", @us_waited);
}
